#!/bin/sh
# The user's first five minutes, on a fresh minimal Debian. By hand and as root:
#
#	tests/fresh.sh [bookworm|trixie]
#
# debootstrap makes a system with git, make and apt in a temporary folder. The project is
# cloned into it at HEAD (what is not committed is not tested); there `make run` must
# install, build and serve, the curl line that it prints must work, and `make test` must
# pass. The host's apt sources, proxies, certificates and npm settings are taken along as
# they are. Everything is removed at the end; KEEP=1 leaves the folder.
set -eu
cd "$(dirname "$0")/.."

suite=${1:-bookworm}
project=$PWD
home=$(mktemp -d "${TMPDIR:-/tmp}/neap-fresh.XXXXXX")
fresh=$home/debian
server=


if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
	echo "tests/fresh.sh: needs debootstrap, and root to use it" >&2
	exit 2
fi

say() {
	echo "== $(date +%H:%M:%S) $*"
}

# Innermost mount first. Without all of them undone, nothing is deleted: a folder of the
# host might hang in there.
clean() {
	status=$?
	trap - EXIT
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	for mount in dev/shm dev/pts dev sys proc; do
		mountpoint -q "$fresh/$mount" || continue
		umount "$fresh/$mount" || umount -l "$fresh/$mount" || :
	done
	if [ "${KEEP:-}" = 1 ] || grep -q " $fresh/" /proc/mounts; then
		say "left in $fresh"
	else
		rm -rf --one-file-system "$home"
	fi
	exit "$status"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

# enter COMMAND: becomes the command in the fresh system, with a login's environment and
# the host's proxies. inside COMMAND: runs it there.
proxies=$(env | sed -n 's/^\([A-Za-z_]*_[pP][rR][oO][xX][yY]\)=.*/\1/p')
enter() {
	set -- chroot "$fresh" sh -c "cd /root && $1"
	for name in $proxies; do
		set -- "$name=$(printenv "$name")" "$@"
	done
	exec env -i HOME=/root LC_ALL=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
inside() {
	(enter "$1")
}

# The host's mirror, from its own list of sources (either format).
sources=
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
	[ ! -e "$file" ] || sources="$sources $file"
done
# shellcheck disable=SC2086 # a list of files
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p
	s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' $sources /dev/null |
	grep -v security | head -n 1)

say "debootstrap $suite"
debootstrap --variant=minbase --include=git,make,ca-certificates "$suite" "$fresh" \
	${mirror:+"$mirror"} >"$home/debootstrap.log" 2>&1 || {
	tail "$home/debootstrap.log"
	exit 1
}

# copy FILE|FOLDER...: to the same place inside; what the host does not have is left out.
copy() {
	for file; do
		if [ -d "$file" ]; then
			mkdir -p "$fresh$file"
			cp -aL "$file/." "$fresh$file"
		elif [ -e "$file" ]; then
			mkdir -p "$fresh$(dirname "$file")"
			cp -aL "$file" "$fresh$file"
		fi
	done
}
copy /etc/resolv.conf /etc/hosts /etc/npmrc /usr/etc/npmrc /root/.npmrc
copy /usr/local/share/ca-certificates /etc/apt/auth.conf.d /etc/apt/keyrings \
	/etc/apt/trusted.gpg.d /etc/apt/apt.conf.d
# Only Debian's own sources: the packages of others are what a fresh system lacks. They
# name the host's release, so another suite gets just its mirror from debootstrap.
. /etc/os-release
if [ "${VERSION_CODENAME:-}" = "$suite" ] && [ -n "$sources" ]; then
	rm -f "$fresh/etc/apt/sources.list"
	# shellcheck disable=SC2086
	copy $sources
fi
mount -t proc proc "$fresh/proc"
mount --bind /sys "$fresh/sys" || say "no /sys"
# /dev/pts and /dev/shm of the host would come along with a recursive bind.
mount --bind /dev "$fresh/dev"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$fresh/dev/pts" || say "no /dev/pts"
mount -t tmpfs tmpfs "$fresh/dev/shm" || say "no /dev/shm"
# The host's own certificates, where it has some.
inside 'update-ca-certificates' >/dev/null 2>&1 || :

say "clone of $(git rev-parse --short HEAD)"
git clone -q --no-local "$project" "$fresh/root/neap"

say "make run"
begin=$(date +%s)
enter 'cd neap && exec make run' >"$home/run.log" 2>&1 </dev/null &
server=$!
line=
while [ -z "$line" ]; do
	line=$(sed -n 's/^.*\(curl .*127\.0\.0\.1.*\)$/\1/p' "$home/run.log" | tail -n 1)
	if ! kill -0 "$server" 2>/dev/null || [ $(($(date +%s) - begin)) -gt 900 ]; then
		tail -n 40 "$home/run.log"
		say "make run: FAILED"
		exit 1
	fi
	sleep 1
done
run_seconds=$(($(date +%s) - begin))

say "serves after $run_seconds s; $line"
printf '%s\n' "$line" >"$fresh/root/try.sh"
answer=$(inside 'sh try.sh') || { say "the curl line: FAILED"; exit 1; }
printf '%s\n' "$answer" | head -c 600
echo
case $answer in
*'"choices"'*) curl_result=passed ;;
*) curl_result=FAILED ;;
esac

# The id is make's, since all before it replaced each other; make passes the signal on.
kill -TERM "$server"
wait "$server" 2>/dev/null || :
server=
if inside 'test -x /usr/bin/node'; then node=yes; else node=no; fi

say "make test"
begin=$(date +%s)
test_result=passed
inside 'cd neap && exec make test' >"$home/test.log" 2>&1 </dev/null || test_result=FAILED
count=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$home/test.log" | tail -n 1 || :)
[ $test_result = passed ] || grep -v '^  *\(CC\|LINK\)\|^ok ' "$home/test.log" | tail -n 80

say "result"
echo "Debian $(cat "$fresh/etc/debian_version"), $(uname -m), $(nproc) cores"
echo "$(date -u +%F), commit $(git rev-parse --short HEAD)"
echo "make run: serving after $run_seconds s (Node installed by it: $node)"
echo "curl line: $curl_result"
echo "make test: ${count:-no result} after $(($(date +%s) - begin)) s"
[ "$curl_result $test_result" = "passed passed" ]
