// k6's side of the benchmark: the same work for each message as the engine does, with the same trick: a protobuf
// message with its varying fields patched (clientMsgID, createTime), base64 by k6's own native code, answers matched
// by msgIncr, pushes decoded for clientMsgID and seq. Frames are text, which spares JavaScript a conversion.
import { WebSocket } from "k6/experimental/websockets";
import encoding from "k6/encoding";
import { Counter, Trend } from "k6/metrics";

const port = __ENV.BENCH_PORT;
const full = __ENV.BENCH_KIND === "full";
const vus = Number(__ENV.BENCH_VUS);
const each = Number(__ENV.BENCH_CONNECTIONS) / vus;
const acked = new Counter("openim_acked");
const latency = new Trend("openim_ack", true);

export const options = {
  scenarios: { all: { executor: "per-vu-iterations", vus: vus, iterations: 1, maxDuration: "10m" } },
};

function field(tag, bytes) {
  const head = tag < 16 ? [(tag << 3) | 2] : [((tag << 3) | 2) & 0x7f | 0x80, (tag << 3 | 2) >> 7];
  const size = bytes.length < 128 ? [bytes.length] : [bytes.length & 0x7f | 0x80, bytes.length >> 7];
  return head.concat(size, bytes);
}

function ascii(text) {
  return Array.from(text, (one) => one.charCodeAt(0));
}

function template(me, peer) {
  let bytes = field(4, ascii("0".repeat(32)));
  bytes = bytes.concat([0x80, 0x01, 0, 0, 0, 0, 0, 0]);
  bytes = bytes.concat(field(1, ascii(me)), field(2, ascii(peer)), [0x30, 5, 0x48, 1, 0x50, 100, 0x58, 101]);
  return new Uint8Array(bytes.concat(field(12, ascii(`{"content":"${"x".repeat(180)}"}`)), [0x88, 0x01, 1]));
}

// The first clientMsgID and seq in a PushMessages: a map entry, PullMsgs, MsgData.
function readPush(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0, scale = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  };
  at++; varint();
  while (at < bytes.length && bytes[at] !== 0x12) { at++; const size = varint(); at += size; }
  at++; varint();
  at++; const end = varint() + at;
  let id = "", seq = 0;
  while (at < end) {
    const tag = varint(), kind = tag & 7;
    if (kind === 0) {
      const value = varint();
      if (tag >> 3 === 14) { seq = value; }
    } else {
      const size = varint();
      if (tag >> 3 === 4) { id = String.fromCharCode.apply(null, bytes.subarray(at, at + size)); }
      at += size;
    }
  }
  return [id, seq];
}

function chat(number) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${full ? "" : "echo"}`);
  const me = `canaryload${String(number).padStart(6, "0")}`;
  const bytes = template(me, `canaryload${String(number ^ 1).padStart(6, "0")}`);
  const waiting = new Map();
  const still = "x".repeat(512);
  let count = 0, pushes = 0;
  const send = () => {
    const now = Date.now();
    const digits = String(++count).padStart(12, "0");
    const id = String(number).padStart(20, "0") + digits;
    for (let at = 0; at < 32; at++) { bytes[2 + at] = id.charCodeAt(at); }
    for (let at = 0, rest = now; at < 6; at++, rest = Math.floor(rest / 128)) { bytes[36 + at] = rest % 128 | (at < 5 ? 128 : 0); }
    waiting.set(digits, now);
    socket.send(`{"reqIdentifier":1003,"token":"","sendID":"${me}","operationID":"${id}","msgIncr":"${digits}","data":"${encoding.b64encode(bytes.buffer)}"}`);
  };
  socket.onopen = () => (full ? send() : socket.send(still));
  socket.onmessage = (event) => {
    if (!full) { socket.send(still); return; }
    const answer = JSON.parse(event.data);
    if (answer.reqIdentifier === 1003) {
      const began = waiting.get(answer.msgIncr);
      waiting.delete(answer.msgIncr);
      if (began === undefined || answer.errCode !== 0) { throw new Error(event.data); }
      acked.add(1);
      latency.add(Date.now() - began);
      send();
    } else {
      const [id, seq] = readPush(new Uint8Array(encoding.b64decode(answer.data)));
      if (id.length === 32 && seq > 0) { pushes++; }
    }
  };
}

export default function () {
  for (let at = 0; at < each; at++) { chat((__VU - 1) * each + at); }
}
