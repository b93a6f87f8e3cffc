/* A machine that fails: system calls that go wrong (libfiu), clocks that jump (libfaketime),
 * disks without room. What is preloaded can be changed while neap runs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { binary, is_sanitized } from "./neap.mjs";
import { folder, later } from "./story.mjs";

/* What such a program preloads, out of its own mouth: Debian moves these files about. */
function preload(program, args) {
  return execFileSync(program, [...args, "printenv", "LD_PRELOAD"], { encoding: "utf8" }).trim();
}

/* The library of a sanitizer has to come first. Where it is no library but in the program
 * (clang's), nothing can come before its calls, and system calls cannot be made to fail. */
const runtime = is_sanitized
  ? /lib[at]san\S* => (\S+)/.exec(execFileSync("ldd", [binary], { encoding: "utf8" }))?.[1]
  : "";
export const can_fail = runtime !== undefined;

/* The environment in which neap preloads a library. */
export const environment = (library, more) => ({
  LD_PRELOAD: `${runtime ?? ""} ${library}`,
  ASAN_OPTIONS: `verify_asan_link_order=0:${process.env.ASAN_OPTIONS ?? ""}`,
  ...more,
});

/* A C file of this folder as a program or a library; returns where it is. */
export function compile(t, name, ...flags) {
  const out = path.join(folder(t), name.replace(/\.c$/, ""));
  execFileSync("cc", ["-D_GNU_SOURCE", "-o", out, path.join(import.meta.dirname, name), ...flags]);
  return out;
}

/* -- system calls ----------------------------------------------------------------- */

/* Points of failure are named as `fiu-run -x` has them: posix/io/sync/fdatasync. */
class Faults {
  constructor(prefix) {
    this.prefix = prefix;
    const library = preload("fiu-run", ["-x", "-f", prefix]);
    this.env = environment(library, { FIU_CTRL_FIFO: prefix });
  }

  #tell(neap, ...commands) {
    const args = commands.flatMap((command) => ["-c", command]);
    const said = execFileSync("fiu-ctrl", ["-f", this.prefix, ...args, String(neap.pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 20000,
    });
    assert.equal(said, "", "fiu-ctrl");
  }

  /* From now on each call fails with this errno. */
  fail(neap, name, errno) {
    this.#tell(neap, `enable name=${name},failinfo=${errno}`);
  }

  /* Each with this probability. */
  fail_some(neap, probability, errno, ...names) {
    this.#tell(
      neap,
      ...names.map(
        (name) => `enable_random name=${name},probability=${probability},failinfo=${errno}`,
      ),
    );
  }

  heal(neap, ...names) {
    this.#tell(neap, ...names.map((name) => `disable name=${name}`));
  }
}

export const faults = (t) => new Faults(path.join(folder(t), "fiu"));

/* -- the clock -------------------------------------------------------------------- */

/* The wall clock of a neap; that which only goes forward stays the machine's. */
class Clock {
  constructor(file) {
    this.file = file;
    this.set("+0");
    this.env = environment(preload("faketime", ["-f", "+0"]), {
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    });
  }

  /* offset: "+1h", "-1y". */
  set(offset) {
    writeFileSync(this.file, `${offset}\n`);
  }
}

export const clock = (t) => new Clock(path.join(folder(t), "clock"));

/* -- disks ------------------------------------------------------------------------ */

/* A disk of its own for neap's storage, or null where this process may mount none. fill()
 * leaves no room on it, and empty() gives it back. */
export function small_disk(t, megabytes) {
  const place = path.join(folder(t), "disk");
  mkdirSync(place);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "none", place], {
      stdio: "ignore",
    });
  } catch {
    return null;
  }
  later(t, () => execFileSync("umount", ["-l", place]));
  const ballast = path.join(place, "ballast");
  return {
    place: path.join(place, "data"),
    fill: () =>
      assert.throws(() => writeFileSync(ballast, Buffer.alloc(megabytes * 1024 * 1024)), {
        code: "ENOSPC",
      }),
    empty: () => rmSync(ballast),
  };
}
