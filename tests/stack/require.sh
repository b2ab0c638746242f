#!/bin/sh
# Fails if one of these programs is missing, with its name and how to install it: require.sh PROGRAM...
for program in "$@"; do
    command -v "$program" >/dev/null && continue
    case $program in
    cargo) remedy="Install Rust: https://rustup.rs" ;;
    *) remedy="On Debian or Ubuntu: sudo apt-get install $program" ;;
    esac
    echo "error: $program is not installed. $remedy" >&2
    exit 1
done
