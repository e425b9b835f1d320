#!/usr/bin/env bash
# A throw-away Debian sid with Blender and a virtual screen in the folder $1; does nothing when it is complete already.
# Uses the mirror that apt uses on this machine. Needs root, debootstrap and about 2 GB.
set -euo pipefail

root=$1
done_mark="$root/.complete"
packages="blender xvfb xauth libgl1-mesa-dri libegl1 libgl1 xdotool imagemagick
          python3-numpy python3-requests python3-cattr fonts-dejavu-core"

if [ -e "$done_mark" ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then echo "test-gui makes a Debian root with debootstrap and needs to be root." >&2; exit 2; fi
if ! command -v debootstrap >/dev/null; then echo "test-gui needs debootstrap: apt-get install debootstrap" >&2; exit 2; fi
if findmnt --list --noheadings --output TARGET | grep -q "^$(realpath -m "$root")/"; then
    echo "Something is mounted under $root: unmount it first." >&2; exit 2
fi

rm -rf --one-file-system "$root"
mkdir -p "$root"
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: '"$(. /etc/os-release; echo "$VERSION_CODENAME")" | head -n 1)
if [ -z "$mirror" ]; then mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1); fi
if [ -z "$mirror" ]; then echo "No Debian mirror in apt's sources." >&2; exit 2; fi

debootstrap --variant=minbase --include=ca-certificates sid "$root" "$mirror"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"  # no service starts inside
chmod 755 "$root/usr/sbin/policy-rc.d"
# The mounts live and die with this namespace, so deleting the root can never reach /dev.
unshare --mount --propagation private bash -euc '
    mount --bind /proc "$1/proc"; mount --rbind /dev "$1/dev"
    export DEBIAN_FRONTEND=noninteractive
    # Signatures are checked as always, only not their age: mirrors of sid can lag behind its validity date.
    chroot "$1" apt-get -o Acquire::Check-Valid-Until=false update
    chroot "$1" apt-get install -y --no-install-recommends $2
' - "$root" "$(echo $packages)"
rm -rf "$root/var/cache/apt/archives"/*.deb
touch "$done_mark"
