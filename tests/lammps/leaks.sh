#!/bin/sh
# Looks for leaks and memory errors of the plugin, with AddressSanitizer. Not part of CI: the build
# takes some minutes.
#
#     tests/lammps/leaks.sh [build folder]
#
# The Python first in PATH must have pyubias installed. A build folder that is named is kept, and
# used again. Prints OK, or what was found with exit status 1.

set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=${1:-$work/build}

# AddressSanitizer refuses RTLD_DEEPBIND, which only chooses among implementations of dgemm
cat > "$work/no_deepbind.h" <<'EOF'
#include <dlfcn.h>
#undef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
EOF
mkdir -p "$build"
cmp -s "$work/no_deepbind.h" "$build/no_deepbind.h" || cp "$work/no_deepbind.h" "$build"
cmake -S "$root/lammps_plugin" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None \
  -DPython3_EXECUTABLE="$(command -v python)" \
  -DCMAKE_CXX_FLAGS="-O1 -g1 -fno-omit-frame-pointer -fsanitize=address -include $build/no_deepbind.h" \
  > "$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
cmake --build "$build" > "$work/build.log" || { tail -n 40 "$work/build.log"; exit 1; }

# two models, and a script that makes, uses and destroys everything more than once
cd "$work"
python - "$root" > environment <<'EOF'
import importlib.util
import sys
from pathlib import Path

sys.path[:0] = [f"{sys.argv[1]}/tests", f"{sys.argv[1]}/tests/lammps"]
import toys
from exactness import save_gmnn
from harness import LMP, libraries, random_atoms, write_data

atoms = random_atoms("Ar Ne", [9.0, 9.0, 9.0], 24, seed=1)
write_data(Path("atoms.data"), atoms, ["Ar", "Ne"])
toys.save_toy(Path("toy.pt"))
toys.save_toy(Path("throws.pt"), toys.ThrowsBeyond())
save_gmnn(Path("gmnn.pt"), [atoms], ["Ar", "Ne"])
print(f"LMP='{LMP}'\nexport LD_LIBRARY_PATH='{libraries()}'")
EOF
. ./environment

setup='units metal
atom_style atomic
read_data atoms.data
neighbor 1.0 bin'
for model in toy gmnn; do
  for kind in total atomic; do
    cat <<EOF
clear
$setup
pair_style ubias
pair_coeff * * $model.pt Ar Ne
velocity all create 100 1
timestep 0.0005
fix b all ubias tau 0.2 tau_stress 0.1 window 3 uncertainty $kind weight Ne 0.5
fix u all pair 1 ubias uncertainty 1
fix move all nve
compute s all centroid/stress/atom NULL virial
compute c all reduce sum c_s[*]
thermo 1
thermo_style custom step pe press f_b f_b[*] c_c[*]
run 10
write_restart r.restart
group some id 3 5 7
delete_atoms group some
change_box all z scale 1.02 remap
run 5
thermo_style one
unfix b
run 2
pair_style lj/cut 4.0
pair_coeff * * 0.01 2.0
pair_style ubias
pair_coeff * * $model.pt Ar Ne
fix b all ubias tau 0.1 window 0 uncertainty $kind
fix_modify b energy yes
minimize 0.0 1e-6 5 10
clear
read_restart r.restart
pair_style ubias
pair_coeff * * $model.pt Ar Ne
fix b all ubias tau 0.2 window 3 uncertainty $kind
run 2
EOF
  done
done > in.lmp
printf '%s\npair_style ubias\npair_coeff * * throws.pt Ar Ne\nrun 0\n' "$setup" > in.throws

# Libraries that are closed at the end would lose their names in the report: keep them open.
printf 'int dlclose(void *handle) { (void) handle; return 0; }\n' > keep.c
cc -shared -fPIC -o keep.so keep.c

found=0
for input in in.lmp in.throws; do
  status=0
  LD_PRELOAD="$(cc -print-file-name=libasan.so) $work/keep.so" LAMMPS_PLUGIN_PATH=$build \
    ASAN_OPTIONS=detect_leaks=1:exitcode=0:log_path=$work/asan.$input \
    OMP_NUM_THREADS=1 "$LMP" -in $input -nocite -log none > "$input.out" 2>&1 || status=$?
  if [ $input = in.lmp ] && { [ $status -ne 0 ] || ! grep -q '^Total wall time' $input.out; }; then
    echo "$input ended with status $status:"
    tail -n 20 $input.out
    found=1
  fi
done
grep -q 'this toy refuses' in.throws.out || { tail -n 20 in.throws.out; found=1; }

# a report is made of paragraphs; those count that pass through the plugin, and all memory errors
reports=$(ls asan.* 2> /dev/null || true)
if [ -n "$reports" ]; then
  awk 'BEGIN { RS = ""; ORS = "\n\n" } /ubiasplugin|libubias/ || /ERROR: AddressSanitizer/' \
    $reports > findings
  if [ -s findings ]; then cat findings; found=1; fi
  echo "leaks outside the plugin, not counted: $(grep -ch 'leak of' $reports | paste -sd+ | bc)"
fi
[ $found -eq 0 ] && echo OK
exit $found
