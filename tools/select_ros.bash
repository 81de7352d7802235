# Which ROS 2 Jazzy this workspace uses, and how it comes into the shell. To be sourced.
#
#   select_ros WORKSPACE    sets weld_ros to the ROS prefix and weld_ros_kind to
#                           sourced    the shell has it already,
#                           system     it is in /opt/ros/jazzy (or WELD_SYSTEM_ROS), or
#                           underlay   it is, or is to be, WORKSPACE/.ros/jazzy.
#   enter_ros               sources it, unless the shell has it already.
#   enter_environment WORKSPACE    puts the workspace's Python environment first.

select_ros() {
  local system="${WELD_SYSTEM_ROS-/opt/ros/jazzy}" prefix
  if [ -n "${ROS_DISTRO-}" ] && [ -n "${AMENT_PREFIX_PATH-}" ]; then
    if [ "${ROS_DISTRO}" != jazzy ]; then
      echo "weld_inspection: error: this shell has ROS ${ROS_DISTRO} sourced; it needs jazzy." \
        "Use a shell without it, or source /opt/ros/jazzy/setup.bash in a new one." >&2
      return 1
    fi
    local IFS=:
    for prefix in ${AMENT_PREFIX_PATH}; do
      if [ -e "${prefix}/share/ament_index/resource_index/packages/rclpy" ]; then
        weld_ros="${prefix}" weld_ros_kind=sourced
        return 0
      fi
    done
    echo "weld_inspection: error: ROS_DISTRO is jazzy but no folder of AMENT_PREFIX_PATH holds" \
      "rclpy; source ROS's setup.bash again, or unset both." >&2
    return 1
  fi
  if [ -e "${system}/setup.bash" ]; then
    weld_ros="${system}" weld_ros_kind=system
  else
    weld_ros="$1/.ros/jazzy" weld_ros_kind=underlay
  fi
}

enter_ros() {
  if [ "${weld_ros_kind}" != sourced ]; then
    # ROS's scripts read variables that may be unset.
    case $- in *u*) set +u; source "${weld_ros}/setup.bash"; set -u ;; *) source "${weld_ros}/setup.bash" ;; esac
  fi
}

enter_environment() {
  export VIRTUAL_ENV="$1/.venv"
  case ":${PATH}:" in
    *":${VIRTUAL_ENV}/bin:"*) ;;
    *) export PATH="${VIRTUAL_ENV}/bin:${PATH}" ;;
  esac
}
