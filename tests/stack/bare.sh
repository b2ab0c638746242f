#!/bin/sh
# Tests the README's promise on a bare Debian 12: with only git, make, Python and Rust, `make up` installs the rest and starts,
# twice. `make test-bare` runs it, as root; it takes about twenty minutes.
#
# It creates a root file system with debootstrap in BARE_DIR, and starts the stack in it as root and as an ordinary user with
# sudo, each in a home directory of mode 700. From this machine the root has the network, Rust, additional certificate
# authorities, and cargo's target directory (not with BARE_BUILT=no).
set -eu
cd "$(dirname "$0")/../.."
directory=${BARE_DIR:-$PWD/.local/bare}
base=$directory/base
root=$directory/root
home=/home/shop
cargo=${CARGO_HOME:-$HOME/.cargo}
rustup=${RUSTUP_HOME:-$HOME/.rustup}

say() {
    echo "==> bare: $1"
}

make_base() {
    [ -e "$base.made" ] && return
    say "Making a Debian 12 with git, make, python3 and sudo (debootstrap)"
    rm -rf "$base"
    debootstrap --variant=minbase --include=git,make,python3,sudo bookworm "$base" >"$directory/debootstrap.log"
    touch "$base.made"
}

# Copies the repository as it is on disk, and Rust, into the home directory.
furnish() {
    mkdir -p "$root$home/ordermill" "$root$home/.cargo" "$root$home/.rustup/toolchains"
    git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar --extract --directory "$root$home/ordermill"
    if [ -d target ] && [ "${BARE_BUILT:-yes}" = yes ]; then cp -a target "$root$home/ordermill/target"; fi
    cp -a "$cargo/bin" "$cargo/registry" "$root$home/.cargo/"
    cp -a "$rustup/settings.toml" "$root$home/.rustup/"
    cp -a "$rustup/toolchains/$(rustup show active-toolchain | cut -d ' ' -f 1)" "$root$home/.rustup/toolchains/"
}

# Creates a new root for this user, with the build of the previous user.
prepare() {
    rm -rf "$directory/kept"
    if [ -d "$root$home" ]; then mv "$root$home" "$directory/kept"; fi
    rm -rf "$root"
    cp -a "$base" "$root"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    echo "127.0.0.1 localhost $(hostname)" >"$root/etc/hosts"
    mkdir -p "$root/usr/local/share/ca-certificates"
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$root/usr/local/share/ca-certificates/" \;
    if [ -d "$directory/kept" ]; then
        mv "$directory/kept" "$root$home"
        rm -rf "$root$home/ordermill/.local" "$root$home/ordermill/.venv" "$root$home/ordermill/.aws-sam"
    else
        furnish
    fi
    if [ "$1" != root ]; then
        chroot "$root" useradd --home-dir "$home" --shell /bin/sh "$1"
        echo "$1 ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$1"
    fi
    chroot "$root" chown -R "$1:" "$home"
    chmod 700 "$root$home"
}

# Writes the commands that the user runs within the root.
write_check() {
    cat >"$root/check.sh" <<'CHECK'
set -eu
cd "$HOME/ordermill"
if cc --version || python3 -c 'import ensurepip' || ls /usr/lib/postgresql; then
    echo "This root is not bare."
    exit 1
fi 2>/dev/null
echo "==> bare: the first start"
make up
cc --version | head -1
make load ORDERS=3
make down
echo "==> bare: the second start"
make up
make doctor
make down
CHECK
}

# Runs the commands in their own namespaces, so that every process and mount ends with them.
run_check() {
    say "Two starts as $1"
    # shellcheck disable=SC2046 # one word a variable
    unshare --mount --pid --fork --kill-child sh -c '
        mount -t proc proc "$1/proc"
        root=$1 user=$2
        shift 2
        exec chroot "$root" su "$user" --shell /bin/sh --command "env -i $* sh /check.sh"' - "$root" "$1" \
        HOME="$home" "PATH=$home/.cargo/bin:/usr/local/bin:/usr/bin:/bin" TERM=dumb \
        $(env | grep -E '^(PG_PORT|EMULATOR_PORT|ISSUER_PORT|CARGO_BUILD_JOBS|PIP_CERT|PIP_INDEX_URL|SSL_CERT_FILE|https?_proxy|no_proxy)=')
}

mkdir -p "$directory"
make_base
rm -rf "$root"
for user in root shop; do
    prepare "$user"
    write_check
    run_check "$user"
done
rm -rf "$root"
say "A bare Debian starts the stack, and starts it again, as root and as an ordinary user."
