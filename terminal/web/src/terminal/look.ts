// Colours of the terminal, in light and dark. All sixteen keep a contrast of
// 4.5 on their background, by themselves or by xterm's own correction.

import type { ISearchOptions } from "@xterm/addon-search";
import type { ITheme } from "@xterm/xterm";

type FoundColors = NonNullable<ISearchOptions["decorations"]>;

export type Brightness = "light" | "dark";

export const fontFamily = 'ui-monospace, "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, monospace';

export const themes: Record<Brightness, ITheme> = {
	light: {
		background: "#ffffff",
		foreground: "#1c2024",
		cursor: "#0b68cb",
		cursorAccent: "#ffffff",
		selectionBackground: "#b9d7f5",
		selectionInactiveBackground: "#dfe5eb",
		scrollbarSliderBackground: "#60646c40",
		scrollbarSliderHoverBackground: "#60646c80",
		scrollbarSliderActiveBackground: "#60646ca0",
		black: "#1c2024",
		red: "#c1272d",
		green: "#1a7f37",
		yellow: "#8a5d00",
		blue: "#0b5fba",
		magenta: "#8e3fb0",
		cyan: "#0b7482",
		white: "#60646c",
		brightBlack: "#6b7079",
		brightRed: "#d13438",
		brightGreen: "#14803a",
		brightYellow: "#9a6700",
		brightBlue: "#0b68cb",
		brightMagenta: "#a347c7",
		brightCyan: "#0a7a88",
		brightWhite: "#3a3f45",
	},
	dark: {
		background: "#111315",
		foreground: "#edeef0",
		cursor: "#5eb0ff",
		cursorAccent: "#111315",
		selectionBackground: "#22456b",
		selectionInactiveBackground: "#2a2d31",
		scrollbarSliderBackground: "#9ea3aa40",
		scrollbarSliderHoverBackground: "#9ea3aa80",
		scrollbarSliderActiveBackground: "#9ea3aaa0",
		black: "#3a3f45",
		red: "#ff6b6b",
		green: "#4cc38a",
		yellow: "#e5b454",
		blue: "#5eb0ff",
		magenta: "#cf8cf0",
		cyan: "#4fc3d0",
		white: "#d4d7db",
		brightBlack: "#8b9098",
		brightRed: "#ff8f8f",
		brightGreen: "#74d9a5",
		brightYellow: "#f2cc80",
		brightBlue: "#8cc6ff",
		brightMagenta: "#ddaaf7",
		brightCyan: "#7fd6e0",
		brightWhite: "#ffffff",
	},
};

/** Marks of what was found; letters on them keep their contrast. */
export const foundColors: Record<Brightness, FoundColors> = {
	light: {
		matchBackground: "#ffe9a8",
		matchOverviewRuler: "#e5b454",
		activeMatchBackground: "#ffc46b",
		activeMatchBorder: "#9a6700",
		activeMatchColorOverviewRuler: "#9a6700",
	},
	dark: {
		matchBackground: "#4d3d0f",
		matchOverviewRuler: "#e5b454",
		activeMatchBackground: "#7a4a00",
		activeMatchBorder: "#e5b454",
		activeMatchColorOverviewRuler: "#ffcf7a",
	},
};
