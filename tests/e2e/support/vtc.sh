#!/bin/sh
# What a varnishtest story asks neap between its steps:
#   vtc.sh ready PORT   waits until neap serves
#   vtc.sh idle PORT    waits until nothing is open but the question itself
# Bounded: 20 s each, and more where a question takes long.

ask() {
	curl -s --noproxy '*' --max-time 2 "http://127.0.0.1:$1/$2"
}

is_idle() {
	open=$(ask "$1" health | sed -n 's/.*"open" *: *\({[^}]*}\).*/\1/p' | tr -d ' ')
	case $open in
	*'"attempts":0'*) ;;
	*) return 1 ;;
	esac
	connections=$(printf '%s' "$open" | sed -n 's/.*"connections":\([0-9]*\).*/\1/p')
	[ "${connections:-9}" -le 1 ]
}

case $1 in
ready)
	for _ in $(seq 400); do
		ask "$2" readyz >/dev/null && exit 0
		sleep 0.05
	done
	echo "neap does not serve on port $2"
	;;
idle)
	for _ in $(seq 400); do
		is_idle "$2" && exit 0
		sleep 0.05
	done
	echo "neap is not idle: $(ask "$2" health)"
	;;
*)
	echo "usage: vtc.sh ready|idle PORT"
	;;
esac
exit 1
