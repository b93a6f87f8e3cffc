/* A certificate of its own for 127.0.0.1, made on the spot. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { folder } from "./story.mjs";

export function certificate(t, name = "IP:127.0.0.1,DNS:localhost") {
  const at = folder(t);
  const key_path = path.join(at, "key.pem"),
    cert_path = path.join(at, "cert.pem");
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=neap e2e",
      "-addext",
      `subjectAltName=${name}`,
      "-keyout",
      key_path,
      "-out",
      cert_path,
    ],
    { stdio: "pipe" },
  );
  return { key_path, cert_path, key: readFileSync(key_path), cert: readFileSync(cert_path) };
}
