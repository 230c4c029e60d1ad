#!/usr/bin/env bash
# Prints the full path of a CPython that works, for a name or a version:
#
#     scripts/find_python.sh 3.13        scripts/find_python.sh python3.13        scripts/find_python.sh /opt/py/bin/python3
#
# Why: with pyenv, `python3.13` is on PATH as a shim that fails unless that version
# is switched on; the interpreter itself is there all the same. Prints nothing and
# fails if there is none, or if it is older than 3.11.
set -u
wanted=${1:?usage: scripts/find_python.sh VERSION|NAME|PATH}
case $wanted in [0-9]*) wanted=python$wanted ;; esac

try() {  # try COMMAND: its own full path, or failure
    "$1" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)' 2>/dev/null
}

try "$wanted" && exit
version=${wanted#python}
for candidate in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
    [ -x "$candidate" ] && try "$candidate" && exit
done
exit 1
