// xterm's attach addon, with a terminal that only collects what it is to show.
// Arguments: address, token, what to type. Prints the close code, its reason,
// and then what the terminal was given.
const WebSocket = require("ws");
globalThis.WebSocket = WebSocket; // as browsers have it
const { AttachAddon } = require("@xterm/addon-attach");

const [address, token, text] = process.argv.slice(2);
const socket = new WebSocket(address, { headers: { Authorization: "Bearer " + token } });
const decoder = new TextDecoder();
const nothing = { dispose() {} };
let type, shown = "";
new AttachAddon(socket).activate({
  onData(listener) {
    type = listener;
    return nothing;
  },
  onBinary: () => nothing,
  write(data) {
    shown += typeof data === "string" ? data : decoder.decode(data, { stream: true });
  },
});
socket.on("open", () => type(text));
socket.on("close", (code, reason) => console.log(`${code} ${reason}\n${shown}`));
