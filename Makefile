# make demo      set up what is missing, then compute the wire of Ryan et al. (2026): figure and ParaView files in out/
# make test      set up what is missing, then the tests serially and on 2 and 4 ranks
# make lint      style, types and layers of imports
# make test-slow the slow tests, which a release has to pass too: again serially and on 2 and 4 ranks
# make docs      the site, in docs/_build/html
# make benchmark timings of tests/benchmarks
# make clean     remove what was computed (the environment stays; `rm -r .venv` removes that)

SHELL := /bin/bash
# Without bytecode on disk every rank would compile all packages again.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Tests run on machines with fewer cores than ranks, and in containers as root: allow both, in the words of Open MPI 4
# and of Open MPI 5. MPICH needs neither and ignores them. Ranks that wait step aside, for the others and for whatever
# else keeps the machine busy.
MPI_ENV := OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe OMPI_MCA_mpi_yield_when_idle=1
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
# Seconds; only against hangs, for a busy machine takes several times as long as one that has nothing else to do.
MPI_TIMEOUT ?= 3600

DEMO := fig10 wire_film
SOURCES := $(shell find fvqp meshes -name '*.py' -o -name '*.toml' -o -name '*.msh')

.PHONY: setup demo test test-slow lint test-serial test-mpi docs benchmark clean

setup:
	@./setup.sh

demo: $(DEMO:%=out/%.done)
	@echo; echo "Figures, and fields for ParaView:"; find $(DEMO:%=out/%) \( -name '*.png' -o -name '*.pvd' \) | sort
	@echo; echo "Open first out/fig10/figures/g_ss.png, the conductance of the wire, with any viewer of pictures, such as"
	@echo "    xdg-open out/fig10/figures/g_ss.png"
	@echo "then turn the gap of the film in the browser (the .pvd files are for ParaView):"
	@echo "    .venv/bin/fvqp view out/wire_film"

# Computed anew only when the case or the program has changed.
out/%.done: cases/ryan2026/%.toml $(SOURCES) | setup
	rm -rf out/$*
	fvqp run $< --out out/$*
	@touch $@

test: test-mpi

# Silent when all is well; all three are asked even if the first one complains.
lint: setup
	@output=$$( { ruff check -q .; ruff=$$?; mypy; types=$$?; lint-imports; exit $$((ruff + types + $$?)); } 2>&1 ) || \
	    { echo "$$output"; exit 1; }

# One process a core, with one thread of BLAS each.
PYTEST_PARALLEL := $(ONE_THREAD) python -m pytest -q -p no:benchmark -n auto --dist loadscope
PYTEST_ON := $(MPI_ENV) $(ONE_THREAD) timeout $(MPI_TIMEOUT) mpiexec
# No test on several ranks needs hypothesis, whose plugin would be loaded by every rank. A test of 15 minutes says where
# it is.
PYTEST_RANKS := python -m pytest -q --color=no -p no:hypothesispytest -o faulthandler_timeout=900 tests/mpi

# What takes longest to import is compiled once, not by both of the processes that begin with it.
test-serial: setup
	@python -c 'import fipy, gmsh, matplotlib.pyplot, pyvista, scipy.optimize, xarray'
	$(PYTEST_PARALLEL)

test-mpi: test-serial
	$(PYTEST_ON) -n 2 $(PYTEST_RANKS)
	$(PYTEST_ON) -n 4 $(PYTEST_RANKS)

test-slow: setup
	$(PYTEST_PARALLEL) -m slow
	$(PYTEST_ON) -n 2 $(PYTEST_RANKS) -m slow
	$(PYTEST_ON) -n 4 $(PYTEST_RANKS) -m slow

docs: setup
	sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

benchmark: setup
	$(ONE_THREAD) NUMBA_NUM_THREADS=2 python -m pytest -m "" tests/benchmarks

clean:
	rm -rf out docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .benchmarks
	find fvqp tests -name __pycache__ -type d -prune -exec rm -rf {} +
