# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script of the rig shares: where things are kept, how a step is
# announced, how a failure is told, and the rule that nothing half-made is ever
# seen under its final name.
#
# Everything the rig makes lives in one cache directory outside the checkout.
# Each piece is named by a hash of what defines it (a package list, a recipe,
# config fragments), so that a piece whose definition changed is simply not
# found and made anew, while another checkout still finds its own.

set -euo pipefail

# A script that is told to end does not go on with its next step.
trap 'exit 130' INT TERM HUP

RIG_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RIG_SRC=$(dirname "$RIG_SCRIPTS")
RIG_CACHE=${FERROFUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ferrofuse}

# Scripts change their directory, and start each other.
for variable in FERROFUSE_KERNEL_SOURCE FERROFUSE_LIBFUSE_SOURCE; do
	case ${!variable:-} in
	'' | /*) ;;
	*) export "$variable=$PWD/${!variable}" ;;
	esac
done

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The build root is a chroot with foreign owners and device nodes, so the rig
# needs root once: directly, or by sudo.
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null ||
		die "this needs root (for a chroot): run it as root or install sudo"
	exec sudo env FERROFUSE_CACHE="$RIG_CACHE" \
		${FERROFUSE_MIRROR:+FERROFUSE_MIRROR="$FERROFUSE_MIRROR"} \
		${FERROFUSE_ACCEL:+FERROFUSE_ACCEL="$FERROFUSE_ACCEL"} \
		${FERROFUSE_KERNEL_SOURCE:+FERROFUSE_KERNEL_SOURCE="$FERROFUSE_KERNEL_SOURCE"} \
		${FERROFUSE_LIBFUSE_SOURCE:+FERROFUSE_LIBFUSE_SOURCE="$FERROFUSE_LIBFUSE_SOURCE"} \
		${http_proxy:+http_proxy="$http_proxy"} \
		TERM="${TERM:-dumb}" CI="${CI:-}" bash "$0" "$@"
fi

case $RIG_CACHE in
*[[:space:]:]*) die "the cache directory's path may hold no space and no colon: $RIG_CACHE" ;;
/*) ;;
*) die "the cache directory must be an absolute path: $RIG_CACHE" ;;
esac
case $RIG_CACHE/ in
"$RIG_SRC"/*) die "the cache directory must lie outside the checkout: $RIG_CACHE" ;;
esac

# Module objects, test binaries and logs belong to one checkout, not to the
# cache as a whole.
RIG_WORK=$RIG_CACHE/work/$(printf '%s' "$RIG_SRC" | sha256sum | cut -c1-12)
RIG_LOGS=$RIG_WORK/logs
mkdir -p "$RIG_WORK" "$RIG_LOGS" "$RIG_CACHE/locks" 2>/dev/null ||
	die "cannot write in the cache directory $RIG_CACHE"

# hash_of FILE...: the key of a piece defined by the contents of these files.
hash_of() { cat "$@" | sha256sum | cut -c1-12; }

# other_versions ROOT [NAME]...: what of a build root (only of these) is of another
# version than the project was tried with, as one line; nothing if all is the same.
other_versions() {
	awk -v names=" ${*:2} " '
		/^#/ || $1 == "archive" || $1 == "kernel-content" { next }
		{ name = $1; version = $2 }
		name == "libfuse" { sub(/-[^-]*$/, "", version) }
		/ clang version / { name = "clang"; version = $4 }
		FNR == NR { tried[name] = version; next }
		(names == "  " || index(names, " " name " ")) && tried[name] != version {
			printf "%s%s %s (tried: %s)", separator, name, version, name in tried ? tried[name] : "none"
			separator = ", "
		}
	' "$RIG_SCRIPTS/buildroot/tried" "$1/etc/ferrofuse-versions"
}

# need_space GIB: refuse early rather than fail late.
need_space() {
	local free
	free=$(df -Pk "$RIG_CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "$1" ] ||
		die "not enough space for $2: $1 GiB needed, $free GiB free in $RIG_CACHE"
}

took() {
	local s=$((SECONDS - $1))
	if [ $s -ge 60 ]; then printf '%d min %02d s' $((s / 60)) $((s % 60)); else printf '%d s' $s; fi
}

# step NAME TEXT CMD...: announce, run with the output in a log, say how long it
# took; on failure show the end of the log. With STEP_COUNT and STEP_TOTAL set,
# lines of the log matching STEP_COUNT are counted, to tell how far it is. When there is
# something in the file STEP_WHY, that is what failed, and its writer's to tell.
step() {
	local name=$1 text=$2 start=$SECONDS log=$RIG_LOGS/$1.log rc=0 pid n
	shift 2
	say "==> $text"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	# A shell that is interrupted must not leave the step running behind it.
	# What makes a piece runs isolated (or in the build root), so that this is enough
	# to end all of it and to undo its mounts.
	trap 'kill -KILL $pid 2>/dev/null; wait $pid 2>/dev/null || true; sleep 1
		say "interrupted during: $text"; exit 130' INT TERM HUP
	local next=$((SECONDS + 15))
	while kill -0 $pid 2>/dev/null; do
		sleep 0.5 || true
		[ $SECONDS -ge $next ] || continue
		next=$((SECONDS + 30))
		if [ -n "${STEP_COUNT:-}" ]; then
			n=$(grep -cE "$STEP_COUNT" "$log" || true)
			say "    ... $n of about $STEP_TOTAL files, $(took $start)"
		else
			say "    ... $(took $start)"
		fi
	done
	wait $pid || rc=$?
	trap 'exit 130' INT TERM HUP
	if [ $rc -ne 0 ] && [ -s "${STEP_WHY:-}" ]; then
		return $rc
	elif [ $rc -ne 0 ]; then
		say "    failed after $(took $start); the end of $log:"
		tail -n 12 "$log" | sed 's/^/    | /' >&2
		return $rc
	fi
	say "    done in $(took $start)"
}

# isolated COMMAND...: in namespaces of its own: all its processes end with it, and
# its mounts are seen by nobody else.
isolated() {
	exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$@"
}

# with_lock NAME: hold a lock until this shell ends, so that two runs never make
# the same piece at once.
with_lock() {
	local fd
	exec {fd}>"$RIG_CACHE/locks/$1"
	if ! flock -n "$fd"; then
		say "    waiting for another run that is making the same thing ($1)"
		flock "$fd"
	fi
}
