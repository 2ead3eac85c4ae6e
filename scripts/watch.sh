# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# When a boot is given up: not after some time, since a loaded machine takes longer,
# but when the guest has said nothing for a while. What counts as said is known by the
# boot's directory (as scripts/vm makes it):
#
#   before init runs    the console
#   while modules load  results of KUnit on the console. The rest of the kernel's log
#                       does not count: a kernel that hangs complains of it for ever.
#   the command         its output, and what it writes to /host
#   unloading           the steps of init

# phase DIR: what the guest's init does; nothing before it runs.
phase() { cat "$1/host/phase" 2>/dev/null || true; }

kunit_results='^(\[[ 0-9.]*\])?(\[[ TC0-9]*\])? *(not )?ok [0-9]+ '

# heard DIR: what a guest has said so far, as a text that changes when it says more.
heard() {
	local phase
	phase=$(phase "$1")
	printf '%s ' "$phase"
	case $phase in
	'') stat -c %s "$1/console.log" 2>/dev/null || true ;;
	loading) grep -acE "$kunit_results" "$1/console.log" || true ;;
	command) find "$1/output" "$1/host" -type f -printf '%s %T@ %p\n' 2>/dev/null | cksum ;;
	esac
}

# under_way REPORT: the tests that have begun and have not ended. They are told by
# `# begin NAME` and `ok N NAME`, or as libfuse's runner does it.
under_way() {
	awk '
		function end(name) { delete on[name] }
		/^# begin / { on[$3] }
		/^ok / { end($3) }
		/^not ok / { end($4) }
		/^\+ *[0-9.]+s START / { sub(/^\+ */, ""); on[$3]; next }
		/^\+ *[0-9.]+s (PASS|FAIL|SKIP) / { sub(/^\+ */, ""); end($3) }
		END { for (name in on) print name }
	' "$1" | sort | paste -sd' '
}

# last_words DIR: where a guest is that says nothing more.
last_words() {
	local phase tests='' last=''
	phase=$(phase "$1")
	case $phase in
	'') return ;;
	loading) last=$(grep -aE "$kunit_results" "$1/console.log" | tail -n 1) ;;
	command)
		[ ! -s "$1/host/report" ] || tests=$(under_way "$1/host/report")
		[ -z "$tests" ] || { printf 'in %s\n' "$tests"; return; }
		last=$(cat "$1/host/report" "$1/output" 2>/dev/null | grep -av '^[[:space:]]*$' | tail -n 1)
		;;
	*) printf 'while %s\n' "$phase"; return ;;
	esac
	last=$(printf '%s' "$last" | tr -d '\r' | cut -c1-120)
	if [ -n "$last" ]; then printf "after '%s'\n" "$last"; else printf 'from the start of %s\n' "$phase"; fi
}

# watch_guest PID DIR LIMIT PATIENCE: waits for the end of a process, which is a guest.
# Status 124: it has said nothing for LIMIT seconds (0: it may), and has had time to
# say who is waiting for what; 125: it never came up, and its console was silent for
# PATIENCE seconds.
watch_guest() {
	local pid=$1 dir=$2 limit=$3 patience=$4 last='' now since=$SECONDS next=0
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2 || true
		[ $SECONDS -ge $next ] || continue
		next=$((SECONDS + 1))
		now=$(heard "$dir")
		[ "$now" = "$last" ] || last=$now since=$SECONDS
		if [ ! -e "$dir/host/phase" ]; then
			[ $((SECONDS - since)) -lt "$patience" ] || return 125
		elif [ "$limit" -gt 0 ] && [ $((SECONDS - since)) -ge "$limit" ]; then
			: >"$dir/host/dump"
			since=$SECONDS
			while kill -0 "$pid" 2>/dev/null && [ ! -e "$dir/host/dumped" ] &&
				[ $((SECONDS - since)) -lt "${DUMP_TIME:-60}" ]; do
				sleep 0.2 || true
			done
			return 124
		fi
	done
}
