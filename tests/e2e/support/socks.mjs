/* A SOCKS5 proxy without authentication that notes what it was asked for and passes bytes. */
import net from "node:net";
import { later } from "./story.mjs";

export async function socks(t) {
  const proxy = { asked: [] };
  const sockets = new Set();
  const server = net.createServer((socket) => {
    const keep = (each) => {
      sockets.add(each);
      each.on("error", () => {}).on("close", () => sockets.delete(each));
      return each;
    };
    keep(socket);
    let held = Buffer.alloc(0);
    let step = "greeting";
    socket.on("data", function take(data) {
      held = Buffer.concat([held, data]);
      if (step === "greeting" && held.length >= 2 + held[1]) {
        held = held.subarray(2 + held[1]);
        step = "request";
        socket.write(Buffer.from([5, 0]));
      }
      const target = step === "request" && read_target(held);
      if (!target) return;
      proxy.asked.push(target);
      socket.off("data", take);
      const peer = keep(
        net.connect(target.port, "127.0.0.1", () => {
          socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
          socket.pipe(peer).pipe(socket);
        }),
      );
      peer.on("close", () => socket.destroy());
      socket.on("close", () => peer.destroy());
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.port = server.address().port;
  later(t, () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return proxy;
}

/* { kind: "ipv4" | "name", host, port } of a CONNECT request, or null while it is not whole. */
function read_target(bytes) {
  if (bytes.length < 7 || bytes[1] !== 1) return null;
  const is_name = bytes[3] === 3;
  const size = is_name ? bytes[4] + 1 : bytes[3] === 4 ? 16 : 4;
  if (bytes.length < 4 + size + 2) return null;
  const host = is_name
    ? bytes.subarray(5, 4 + size).toString()
    : [...bytes.subarray(4, 4 + size)].join(".");
  return { kind: is_name ? "name" : "address", host, port: bytes.readUInt16BE(4 + size) };
}
