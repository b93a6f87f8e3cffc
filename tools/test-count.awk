# Counts the results in the log of one job of tools/run-tests. Variables: kind, name,
# status (how the job ended), ms. First line: passed, failed, skipped; second: the same
# for people.

# TAP of cmocka, `neap test` and the fuzz replays. Node's nests: only its sums count.
/^(not )?ok / && kind != "e2e" {
	seen++
	if (/# [Ss][Kk][Ii][Pp]/) skipped++
	else if (/^ok/) passed++
	else failed++
}
/^[ \t]*1\.\.[0-9]+/ && kind != "e2e" {
	sub(/^[ \t]*1\.\./, "")
	planned += $1
}
kind == "e2e" && /^# (pass|fail|cancelled|skipped|todo) [0-9]+$/ {
	if ($2 == "pass") passed += $3
	else if ($2 == "skipped" || $2 == "todo") skipped += $3
	else failed += $3
}

END {
	if (kind == "vtc") {
		# 77 is varnishtest's "something that the story needs is missing".
		passed = status == 0
		skipped = status == 77
		failed = !passed && !skipped
	}
	if (planned > seen) {
		failed += planned - seen
		why = ", stopped early"
	}
	if (passed + failed + skipped == 0) {
		failed = 1
		why = ", ran nothing"
	}
	if (status == 124 || status == 137) why = ", out of time"
	else if (status > 128) why = ", killed by signal " (status - 128)
	if (status != 0 && kind != "vtc" && failed == 0) {
		failed = 1
		if (!why) why = ", ended with " status
	}

	printf "%d %d %d\n", passed, failed, skipped
	printf "%s %s/%s: %d passed", failed ? "FAIL" : "ok  ", kind, name, passed
	if (failed) printf ", %d failed", failed
	if (skipped) printf ", %d skipped", skipped
	printf "%s (%.1f s)\n", why, ms / 1000
}
