# Puts this ROS 2 Jazzy prefix into a bash shell, as /opt/ros/jazzy/setup.bash does.

_prefix="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# _prepend VARIABLE FOLDER: puts FOLDER before the others, once.
_prepend() {
  local value="${!1-}"
  case ":${value}:" in
    *":$2:"*) ;;
    *) export "$1=$2${value:+:${value}}" ;;
  esac
}

for _python in "${_prefix}"/lib/python3*/site-packages; do
  _prepend PYTHONPATH "${_python}"
done
_prepend AMENT_PREFIX_PATH "${_prefix}"
_prepend CMAKE_PREFIX_PATH "${_prefix}"
_prepend LD_LIBRARY_PATH "${_prefix}/lib"
_prepend PATH "${_prefix}/bin"
export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
# The wheels' own way to set LD_LIBRARY_PATH is not needed.
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1

unset _prefix _python
unset -f _prepend
