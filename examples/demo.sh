#!/bin/sh
# When to use it: to see lockstep work on a machine where nothing is set up. It makes a small
# tree in a temporary directory, keeps a mirror of it in step, changes the tree, and compares.
# Usage: demo.sh [LOCKSTEP [SECONDS]]; without SECONDS it goes on until Ctrl-C.
set -eu
lockstep=${1:-lockstep}
dir=$(mktemp -d)
pid=
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
trap 'exit 0' INT TERM
mkdir -p "$dir/src/docs" "$dir/mirror"
echo 'hello' > "$dir/src/docs/hello.txt"
echo "+ $lockstep --watch --delete $dir/src/ $dir/mirror/"
# In a session of its own: Ctrl-C reaches this script, which then ends it with one signal.
setsid "$lockstep" --watch --delete --state-dir="$dir/state" "$dir/src/" "$dir/mirror/" &
pid=$!

# same waits until both trees are alike.
same() {
	for _ in $(seq 100); do
		if diff -r "$dir/src" "$dir/mirror" >/dev/null 2>&1; then
			echo "  in step: $(cd "$dir/mirror" && find . -type f | sort | tr '\n' ' ')"
			return
		fi
		sleep 0.05
	done
	echo "  not in step after 5 s" >&2
	exit 1
}
same
echo '+ a directory with a file appears'; mkdir -p "$dir/src/a/b"; date > "$dir/src/a/b/now.txt"; same
echo '+ a directory is renamed';          mv "$dir/src/a" "$dir/src/renamed"; same
echo '+ a file is deleted';               rm "$dir/src/docs/hello.txt"; same
echo "change files below $dir/src and look below $dir/mirror; Ctrl-C ends"
if [ $# -ge 2 ]; then sleep "$2"; else wait "$pid"; fi
