# make build   sets everything up and builds the workspace
# make test    checks and tests all of it
# make demo    the system at work on a simulated weld; VIDEO=file.mp4 or DEVICE=/dev/video0 for yours
# make bench   measures speed into benchmarks/results/; half an hour on two cores, ten minutes of it live
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

bench: build
	@mkdir -p benchmarks/results
	@source setup.bash && for kind in train engine growth; do \
	  ros2 run weld_inspection benchmark $$kind --json benchmarks/results/$$kind.json || exit 1; \
	done && \
	python tools/measure_live.py --seconds $(LIVE_SECONDS) --model bi_crrn_ed_attn \
	    --json benchmarks/results/live_bi_crrn_ed_attn.json

clean:
	rm -rf .ros .venv build install log demo_output src/*/*.egg-info models/*.openvino_* models/.*.openvino_*
	rm -f src/weld_inspection/weld_inspection/*_parameters.py
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
