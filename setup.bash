# Puts a bash shell into the built workspace:  source setup.bash
#
# Uses the ROS 2 Jazzy that the shell has sourced, else /opt/ros/jazzy, else the one that `make build`
# has set up here. ROS_DOMAIN_ID, RMW_IMPLEMENTATION and the like are left as they are.

_weld_enter() {
  local weld_ros weld_ros_kind workspace
  workspace="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
  source "${workspace}/tools/select_ros.bash"
  select_ros "${workspace}" || return 1
  if [ ! -e "${workspace}/install/local_setup.bash" ] || [ ! -e "${workspace}/.venv/.ready" ]; then
    echo "weld_inspection: not built yet; run: make -C ${workspace} build" >&2
    return 1
  fi
  enter_ros
  enter_environment "${workspace}"
  case $- in
    *u*) set +u; source "${workspace}/install/local_setup.bash"; set -u ;;
    *) source "${workspace}/install/local_setup.bash" ;;
  esac
}

_weld_enter
_weld_status=$?
unset -f _weld_enter select_ros enter_ros enter_environment 2>/dev/null
eval "unset _weld_status; return ${_weld_status}"
