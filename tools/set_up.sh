#!/usr/bin/env bash
# Sets up what the workspace needs and builds it. Does nothing that is done already.
#
#   tools/set_up.sh          ROS (see select_ros.bash), the Python environment .venv, colcon build
#   tools/set_up.sh --test   the same, and what the tests need of the system
set -euo pipefail

workspace="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
tools="${workspace}/tools"
underlay="${workspace}/.ros/jazzy"
environment="${workspace}/.venv"
source "${tools}/select_ros.bash"

say() { echo "setup: $*"; }
fail() { echo "setup: error: $*" >&2; exit 1; }

# hash_of FILE...: one number for the content of files and the names of those in folders.
hash_of() { cat "$@" | sha256sum | cut -c 1-32; }

# install_debian NEEDED PACKAGE...: by apt-get where that may be done; else one line that names them.
# NEEDED is `required` or `wanted`. Nothing that is installed is ever removed for it.
install_debian() {
  local needed="$1" apt=(apt-get)
  shift
  [ $# -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || apt=(sudo -n apt-get)
  if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    say "installing by apt-get: $*"
    local options=(-qq -y --no-install-recommends --no-remove)
    "${apt[@]}" "${options[@]}" install "$@" >/dev/null 2>&1 && return 0
    "${apt[@]}" -qq update >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" "${options[@]}" install "$@" >/dev/null 2>&1 && return 0
  fi
  [ "${needed}" = wanted ] || fail "missing Debian packages: sudo apt-get install $*"
  say "missing Debian packages for some of the tests: sudo apt-get install $*"
}

# find_python: the interpreter under the environments, without a virtual environment around it.
find_python() {
  local candidate found
  if [ "${weld_ros_kind}" = underlay ] || [ "${weld_ros}" = "${underlay}" ]; then
    candidate=python3
    command -v python3.11 >/dev/null && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null && candidate=python3.11
  else
    found=("${weld_ros}"/lib/python3.*/site-packages/rclpy)
    [ -e "${found[0]}" ] || fail "${weld_ros} holds no rclpy"
    candidate="$(echo "${found[0]}" | grep -o 'python3\.[0-9]*')"
    if [ -x "${weld_ros}/bin/${candidate}" ]; then
      candidate="${weld_ros}/bin/${candidate}"
    elif [ -x "/usr/bin/${candidate}" ]; then
      candidate="/usr/bin/${candidate}"
    fi
  fi
  python="$(env -u PYTHONPATH -u VIRTUAL_ENV "${candidate}" -c 'if True:
    import os, sys
    base = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
    print(base if os.path.exists(base) else sys.executable)' 2>/dev/null)" ||
    fail "no ${candidate}; the project needs Python 3.11 or newer"
  "${python}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "${python} is $("${python}" -V); the project needs Python 3.11 or newer"
}

check_system() {
  local missing=()
  command -v g++ >/dev/null || missing+=(g++)
  command -v cmake >/dev/null || missing+=(cmake)
  command -v make >/dev/null || missing+=(make)
  if ! "${python}" -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
  if ! [ -e "$("${python}" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]; then
    missing+=(python3-dev)
  fi
  if [ "${weld_ros}" != "${underlay}" ]; then
    local package
    for package in cv_bridge diagnostic_updater generate_parameter_library_py rosidl_default_generators; do
      find_in_ros "${package}" || missing+=("ros-jazzy-$(echo "${package%_py}" | tr _ -)")
    done
  fi
  install_debian required "${missing[@]}"
}

# find_in_ros PACKAGE: whether the ROS, or a workspace sourced over it, has the package.
find_in_ros() {
  local IFS=: folder
  for folder in ${AMENT_PREFIX_PATH-} "${weld_ros}"; do
    [ ! -e "${folder}/share/ament_index/resource_index/packages/$1" ] || return 0
    [ -z "$(find "${folder}"/lib/python3*/site-packages -maxdepth 1 -name "$1" 2>/dev/null)" ] ||
      return 0
  done
  return 1
}

set_up_underlay() {
  [ "${weld_ros_kind}" = underlay ] || return 0
  local stamp
  stamp="$(hash_of "${tools}"/underlay* "${tools}"/requirements.txt "${tools}"/ros2_launch/*.toml \
    "${tools}"/ros2_launch/*/*.py <(echo "${python}"))"
  [ "$(cat "${underlay}/.ready" 2>/dev/null)" != "${stamp}" ] || return 0
  [ "$(uname -m)" = x86_64 ] || fail "no ROS 2 Jazzy found, and PyPI has it for x86-64 only; install ROS"
  say "no ROS 2 Jazzy found; setting it up from PyPI in .ros/jazzy (about a minute)"
  env -u PYTHONPATH -u VIRTUAL_ENV "${python}" "${tools}/underlay.py" "${underlay}" || exit 1
  echo "${stamp}" > "${underlay}/.ready"
}

set_up_environment() {
  local stamp constraints=() options=()
  stamp="$(hash_of "${tools}/requirements.txt" <(echo "${weld_ros} ${python}"))"
  [ "$(cat "${environment}/.ready" 2>/dev/null)" != "${stamp}" ] || return 0
  say "Python environment .venv (PyTorch and others; a minute or more)"
  rm -rf "${environment}" "${workspace}/build" "${workspace}/install"
  local log="${workspace}/log/environment.txt"
  mkdir -p "${workspace}/log"
  if [ "${weld_ros}" != "${underlay}" ]; then
    options=(--system-site-packages)
    # Message libraries that are compiled against numpy 1 do not load under numpy 2.
    if (enter_ros; "${python}" -c 'import sys, numpy; sys.exit(numpy.__version__[0] != "1")') 2>/dev/null; then
      constraints=('numpy<2')
    fi
  fi
  "${python}" -m venv "${options[@]}" "${environment}" || fail "python -m venv failed"
  env -u PYTHONPATH "${environment}/bin/python" -m pip install -r "${tools}/requirements.txt" \
    "${constraints[@]}" > "${log}" 2>&1 ||
    { grep ERROR "${log}" >&2; fail "pip could not install tools/requirements.txt; see ${log}"; }
  # Where a system package provides them, pip makes no script; these run under .venv's Python.
  write_script colcon colcon_core.command
  write_script pytest pytest
  echo "${stamp}" > "${environment}/.ready"
}

# write_script NAME MODULE: an executable of .venv that calls MODULE.main, unless there is one.
write_script() {
  local script="${environment}/bin/$1"
  [ ! -e "${script}" ] || return 0
  printf '#!%s\nimport sys\n\nfrom %s import main\n\nsys.exit(main())\n' \
    "${environment}/bin/python" "$2" > "${script}"
  chmod +x "${script}"
}

# What only a build takes over: with --symlink-install, edits of Python files are live.
build_stamp() {
  local name sources="${workspace}/src" tests=(-false)
  for name in package.xml CMakeLists.txt setup.py setup.cfg '*.msg' '*.srv' '*_parameters.yaml'; do
    tests+=(-o -name "${name}")
  done
  {
    cat "${environment}/.ready"
    find "${sources}" -type f \( "${tests[@]}" \) -print0 | sort -z | xargs -0 cat
    find "${workspace}"/{launch,config,models} -type f ! -name '*.pyc' ! -path '*.openvino_*' | sort
  } | sha256sum | cut -c 1-32
}

build_workspace() {
  mkdir -p "${workspace}/models"
  local stamp log="${workspace}/log/build.txt"
  stamp="$(build_stamp)"
  # A plain `colcon build` in between has put copies in place of the links.
  if [ "$(cat "${workspace}/install/.ready" 2>/dev/null)" = "${stamp}" ] &&
    [ -L "${workspace}/install/weld_inspection/share/weld_inspection/package.xml" ]; then
    return 0
  fi
  say "colcon build --symlink-install"
  mkdir -p "${workspace}/log"
  (
    enter_ros
    enter_environment "${workspace}"
    cd "${workspace}"
    colcon build --symlink-install --event-handlers console_cohesion+ > "${log}" 2>&1
  ) || { tail -n 40 "${log}" >&2; fail "the build failed; all of it is in log/build.txt"; }
  build_stamp > "${workspace}/install/.ready"
}

# What the detector would else make at its first start, for the shipped models.
export_models() {
  local models=("${workspace}"/models/*.safetensors) stamp log="${workspace}/log/export.txt"
  [ -e "${models[0]}" ] || return 0
  stamp="$(hash_of "${models[@]}" "${environment}/.ready" <(grep -m 1 ^flags /proc/cpuinfo) \
    "${workspace}/src/weld_inspection/weld_inspection/"inspection/openvino_{export,graphs}.py)"
  [ "$(cat "${workspace}/install/.exported" 2>/dev/null)" != "${stamp}" ] || return 0
  say "the shipped models for OpenVINO, in bf16 and int8 (some minutes)"
  (
    source "${workspace}/setup.bash"
    ros2 run weld_inspection export --precision float int8 --model "${models[@]}" > "${log}" 2>&1
  ) || { tail -n 20 "${log}" >&2; fail "export failed; all of it is in log/export.txt"; }
  echo "${stamp}" > "${workspace}/install/.exported"
}

main() {
  cd "${workspace}"
  mkdir -p .ros
  exec 9> .ros/lock
  flock 9
  select_ros "${workspace}" || exit 1
  find_python
  check_system
  if [ "${1-}" = --test ] && ! command -v pulseaudio >/dev/null; then
    install_debian wanted pulseaudio pulseaudio-utils
  fi
  set_up_underlay
  set_up_environment
  build_workspace
  export_models
}

main "$@"
