"""`ros2 launch PACKAGE FILE name:=value ...`, or a path in place of package and file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch.utilities import perform_substitutions
from ros2cli.command import CommandExtension


def find_launch_file(first: str, second: str | None) -> tuple[Path, list[str]]:
    """Finds the file from `PACKAGE FILE` or from a path.

    Returns:
        The file and what of `second` is an argument for it.

    Raises:
        RuntimeError: There is no such package or file.
    """
    if second is None or ":=" in second:
        path = Path(first)
        if not path.is_file():
            raise RuntimeError(f"'{first}' is no launch file")
        return path, [] if second is None else [second]
    try:
        share = Path(get_package_share_directory(first))
    except PackageNotFoundError:
        raise RuntimeError(f"Package '{first}' not found in AMENT_PREFIX_PATH") from None
    found = sorted(share.rglob(second))
    if not found:
        raise RuntimeError(f"file '{second}' was not found in the share directory of '{first}'")
    return found[0], []


def parse_arguments(arguments: list[str]) -> list[tuple[str, str]]:
    """Splits `name:=value` pairs; the last of a name wins.

    Raises:
        RuntimeError: One is not of that form.
    """
    pairs: dict[str, str] = {}
    for argument in arguments:
        name, separator, value = argument.partition(":=")
        if not separator or not name:
            raise RuntimeError(f"launch argument '{argument}' is not of the form <name>:=<value>")
        pairs[name] = value
    return list(pairs.items())


def print_arguments(service: LaunchService, path: Path) -> None:
    """Prints what the launch file declares."""
    context = service.context
    description = AnyLaunchDescriptionSource(str(path)).get_launch_description(context)
    print("Arguments (pass arguments as '<name>:=<value>'):")
    for argument in description.get_launch_arguments():
        print(f"\n    '{argument.name}':\n        {argument.description}")
        if argument.choices:
            print(f"        one of: {', '.join(argument.choices)}")
        if argument.default_value is not None:
            print(f"        (default: '{perform_substitutions(context, argument.default_value)}')")


class LaunchCommand(CommandExtension):
    """Run a launch file."""

    def add_arguments(self, parser: argparse.ArgumentParser, cli_name: str) -> None:
        """Declares the command's options."""
        parser.add_argument("-n", "--noninteractive", action="store_true", help="no terminal")
        parser.add_argument("-d", "--debug", action="store_true", help="launch's debug output")
        parser.add_argument("-s", "--show-args", action="store_true", help="show the arguments")
        parser.add_argument("package_name", help="package, or path of the launch file")
        parser.add_argument("launch_file_name", nargs="?", help="launch file of the package")
        parser.add_argument("launch_arguments", nargs="*", help="'<name>:=<value>'")

    def main(self, *, parser: argparse.ArgumentParser, args: argparse.Namespace) -> int | str:
        """Runs the launch file until it ends or is interrupted."""
        try:
            path, first = find_launch_file(args.package_name, args.launch_file_name)
            pairs = parse_arguments(first + args.launch_arguments)
        except RuntimeError as error:
            return str(error)
        service = LaunchService(noninteractive=args.noninteractive, debug=args.debug)
        if args.show_args:
            print_arguments(service, path)
            return 0
        source = AnyLaunchDescriptionSource(str(path))
        include = IncludeLaunchDescription(source, launch_arguments=pairs)
        service.include_launch_description(LaunchDescription([include]))
        return service.run()
