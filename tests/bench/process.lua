--- The benchmark's programs: started, measured and ended without a shell between.
---
--- A shell or a `taskset` in the middle would cost time inside the measured windows, so the
--- few system calls that this needs are called directly. A child dies with the runner.
local ffi = require "ffi"

ffi.cdef [[
  typedef struct { long tv_sec; long tv_nsec; } bench_timespec;
  typedef struct { unsigned long soft; unsigned long hard; } bench_rlimit;
  typedef struct { int fd; short events; short revents; } bench_pollfd;
  typedef struct { uint16_t family; uint16_t port; uint32_t address; char zero[8]; } bench_address;
  typedef struct {
    uint64_t ino; int64_t off; uint16_t length; uint8_t type; char name[256];
  } bench_dirent;
  int fork(void);
  int execvp(const char *file, char *const argv[]);
  int setenv(const char *name, const char *value, int overwrite);
  void _exit(int status);
  int waitpid(int pid, int *status, int options);
  int kill(int pid, int signal);
  int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
  int sched_setaffinity(int pid, size_t size, const uint64_t *mask);
  int pipe2(int fds[2], int flags);
  int open(const char *path, int flags, ...);
  int dup2(int from, int to);
  int close(int fd);
  long read(int fd, void *to, size_t size);
  long write(int fd, const void *from, size_t size);
  int poll(bench_pollfd *fds, unsigned long count, int timeout_ms);
  int getrlimit(int what, bench_rlimit *limit);
  int setrlimit(int what, const bench_rlimit *limit);
  int clock_gettime(int clock, bench_timespec *now);
  int nanosleep(const bench_timespec *span, bench_timespec *left);
  int socket(int domain, int type, int protocol);
  int connect(int fd, const bench_address *address, unsigned length);
  void *opendir(const char *path);
  bench_dirent *readdir(void *dir);
  int closedir(void *dir);
  long sysconf(int name);
]]

local C = ffi.C
local AF_INET, SOCK_STREAM, POLLIN = 2, 1, 1
local CLOCK_MONOTONIC, RLIMIT_NOFILE, PR_SET_PDEATHSIG = 1, 7, 1
local SIGINT, SIGKILL, SIGTERM, WNOHANG = 2, 9, 15, 1
local O_CLOEXEC, O_CREATE_APPEND = 0x80000, 0x441 -- O_WRONLY | O_CREAT | O_APPEND
local PROCESSORS_ONLINE = 84

local process = {}
process.__index = process

local span = ffi.new "bench_timespec"

--- Seconds on the monotonic clock.
function process.now()
  C.clock_gettime(CLOCK_MONOTONIC, span)
  return tonumber(span.tv_sec) + tonumber(span.tv_nsec) / 1e9
end

function process.sleep(seconds)
  span.tv_sec = math.floor(seconds)
  span.tv_nsec = (seconds % 1) * 1e9
  C.nanosleep(span, nil)
end

function process.processors()
  return tonumber(C.sysconf(PROCESSORS_ONLINE))
end

--- Raises the limit of open files as far as it goes and returns it.
function process.raise_files(wanted)
  local limit = ffi.new "bench_rlimit"
  C.getrlimit(RLIMIT_NOFILE, limit)
  local higher = ffi.new("bench_rlimit", wanted, math.max(wanted, tonumber(limit.hard)))
  if limit.hard >= wanted or C.setrlimit(RLIMIT_NOFILE, higher) ~= 0 then
    limit.soft = limit.hard
    C.setrlimit(RLIMIT_NOFILE, limit)
  end
  C.getrlimit(RLIMIT_NOFILE, limit)
  return tonumber(limit.soft)
end

local function become(argv, core, environment, input, output, errors)
  C.prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0)
  if core then C.sched_setaffinity(0, 8, ffi.new("uint64_t[1]", 2 ^ core)) end
  C.dup2(input, 0)
  C.dup2(output, 1)
  C.dup2(errors, 2)
  for name, value in pairs(environment or {}) do C.setenv(name, value, 1) end
  local list = ffi.new("const char *[?]", #argv + 1)
  for i, word in ipairs(argv) do list[i - 1] = word end
  C.execvp(argv[1], ffi.cast("char *const *", list))
  C._exit(127)
end

--- Starts a program on one core, or without `core` on all. Its stdin and stdout are pipes of this
--- object; its stderr, and with `quiet` its stdout, are appended to the file `log`.
---@param options table argv, core, log; also quiet, environment
function process.start(options)
  local fds = ffi.new "int[4]"
  assert(C.pipe2(fds, O_CLOEXEC) == 0 and C.pipe2(fds + 2, O_CLOEXEC) == 0, "no pipe")
  local log = C.open(options.log, O_CREATE_APPEND + O_CLOEXEC, ffi.cast("int", 420)) -- 0644
  assert(log >= 0, "cannot write " .. options.log)
  local pid = C.fork()
  assert(pid >= 0, "no process")
  if pid == 0 then
    local output = options.quiet and log or fds[3]
    become(options.argv, options.core, options.environment, fds[0], output, log)
  end
  C.close(fds[0])
  C.close(fds[3])
  C.close(log)
  return setmetatable({ pid = pid, input = fds[1], output = fds[2], pending = "" }, process)
end

--- More of the program's output into `pending`; false at its end or after `seconds`.
function process:fill(seconds)
  local wait = ffi.new("bench_pollfd", self.output, POLLIN, 0)
  if C.poll(wait, 1, seconds * 1000) <= 0 then return false end
  local buffer = ffi.new "char[16384]"
  local size = C.read(self.output, buffer, 16384)
  if size <= 0 then return false end
  self.pending = self.pending .. ffi.string(buffer, size)
  return true
end

--- The next line of the program's output, or nil.
function process:line(seconds)
  local limit = process.now() + seconds
  while true do
    local line, rest = self.pending:match("^([^\n]*)\n(.*)$")
    if line then
      self.pending = rest
      return line
    end
    if process.now() > limit or not self:fill(seconds) then return nil end
  end
end

--- All that is left of the program's output.
function process:all(seconds)
  while self:fill(seconds) do end -- luacheck: ignore 542
  return self.pending
end

function process:tell(line)
  C.write(self.input, line .. "\n", #line + 1)
end

function process:is_running()
  return not self.is_over and C.waitpid(self.pid, nil, WNOHANG) == 0
end

local function wait_for_end(self, seconds)
  local limit = process.now() + seconds
  while process.now() < limit do
    if C.waitpid(self.pid, nil, WNOHANG) ~= 0 then return true end
    process.sleep(0.002)
  end
  return false
end

--- Ends the program and waits for it. Closing stdin is enough for those that read it.
function process:stop(signal)
  if self.is_over then return end
  C.close(self.input)
  C.kill(self.pid, signal or SIGTERM)
  if not wait_for_end(self, 5) then
    C.kill(self.pid, SIGKILL)
    wait_for_end(self, 5)
  end
  C.close(self.output)
  self.is_over = true
end

function process:interrupt()
  self:stop(SIGINT)
end

local function read_all(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

--- The process that does the work: nginx answers in a child, the others in themselves.
function process:worker()
  local children = read_all(("/proc/%d/task/%d/children"):format(self.pid, self.pid))
  return tonumber(children:match "%d+") or self.pid
end

--- CPU seconds that all threads of the working process have had.
function process:cpu_seconds()
  local path = ("/proc/%d/task/"):format(self:worker())
  local dir = C.opendir(path)
  if dir == nil then return 0 end
  local total = 0
  local entry = C.readdir(dir)
  while entry ~= nil do
    local task = ffi.string(entry.name)
    if task:match "^%d" then
      total = total + (tonumber(read_all(path .. task .. "/schedstat"):match "^%d+") or 0)
    end
    entry = C.readdir(dir)
  end
  C.closedir(dir)
  return total / 1e9
end

--- Resident KiB of the working process.
function process:resident_kib()
  local status = read_all(("/proc/%d/status"):format(self:worker()))
  return tonumber(status:match "VmRSS:%s*(%d+)") or 0
end

--- A connection to a loopback port, or nil.
---@return integer? fd
function process.connect(port)
  local address = ffi.new "bench_address"
  address.family = AF_INET
  address.port = bit.bor(bit.lshift(bit.band(port, 255), 8), bit.rshift(port, 8))
  address.address = 0x0100007f -- 127.0.0.1 in network order on a little-endian machine
  local fd = C.socket(AF_INET, SOCK_STREAM + O_CLOEXEC, 0)
  if C.connect(fd, address, 16) == 0 then return fd end
  C.close(fd)
end

--- Sends one request to a loopback port and returns the start of the answer, or nil.
function process.ask(port, text)
  local fd = process.connect(port)
  if not fd then return nil end
  local buffer, size = ffi.new "char[4096]", 0
  C.write(fd, text, #text)
  local wait = ffi.new("bench_pollfd", fd, POLLIN, 0)
  if C.poll(wait, 1, 2000) > 0 then size = tonumber(C.read(fd, buffer, 4096)) end
  C.close(fd)
  return size > 0 and ffi.string(buffer, size) or nil
end

return process
