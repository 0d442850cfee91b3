// What a terminal says by itself, when a program asks it something.

const answers = [
	/^\x1b\[[?>=]?[\d;]*[cnR]$/, // device attributes, status, cursor position
	/^\x1b\[\??[\d;]*\$y$/, // modes
	/^\x1b\[[\d;]*t$/, // window
	/^\x1bP[\s\S]*\x1b\\$/, // settings, version
	/^\x1b\][\s\S]*(\x07|\x1b\\)$/, // colours
	/^\x1b\[\?[\d;]*u$/, // keyboard modes
];

/** Whether data that the emulator sends is an answer, and was not typed. */
export function isAnswer(data: string): boolean {
	return data.length > 2 && answers.some((form) => form.test(data));
}
