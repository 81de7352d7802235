# make build   sets everything up and builds the workspace
# make test    checks and tests all of it
# make demo    the system at work on a simulated weld; VIDEO=file.mp4 or DEVICE=/dev/video0 for yours
# make bench   measures speed into benchmarks/results/; half an hour or so on two cores, ten minutes of it live with ED
# make clean   removes what these made

SHELL := bash
VIDEO ?=
DEVICE ?=
LIVE_SECONDS ?= 600

.PHONY: build test demo bench clean

build:
	@tools/set_up.sh

test:
	@tools/set_up.sh --test
	@source setup.bash && tools/test.sh

demo: build
	@source setup.bash && python tools/demo.py $(if $(VIDEO),--video "$(VIDEO)") $(if $(DEVICE),--device "$(DEVICE)")

bench:
	@tools/set_up.sh --test
	@source setup.bash && tools/bench.sh $(LIVE_SECONDS)

clean:
	rm -rf .ros .venv build install log demo_output src/*/*.egg-info models/*.openvino_* models/.*.openvino_*
	rm -f src/weld_inspection/weld_inspection/*_parameters.py
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
