"""What the underlay takes out of the wheel that carries ROS's pure Python packages."""

import zipfile

import pytest
import underlay

ROOT = underlay.CARRIER_ROOT


def carrier(path, licence):
    """A wheel with one package, as the real one lays them out."""
    with zipfile.ZipFile(path, "w") as wheel:
        manifest = f'<package><license file="LICENSE">{licence}</license></package>'
        wheel.writestr(f"{ROOT}/share/launch/package.xml", manifest)
        wheel.writestr(f"{ROOT}/share/ament_index/resource_index/packages/launch", "")
        wheel.writestr(f"{ROOT}/rclpy/launch/__init__.py", "")
        wheel.writestr(f"{ROOT}/rclpy/launch/frontend/entity.py", "")
        wheel.writestr(f"{ROOT}/rclpy/launch/binary.so", "")
        wheel.writestr(f"{ROOT}/rclpy/launch-3.4-py3.12.egg-info/PKG-INFO", "")
        wheel.writestr(f"{ROOT}/rclpy/launch_xml/__init__.py", "")
        wheel.writestr(f"{ROOT}/rclpy/launch_xml-3.4-py3.12.egg-info/PKG-INFO", "")
        wheel.writestr("isaacsim/own.py", "")
    return zipfile.ZipFile(path)


def files_of(prefix):
    return {
        str(path.relative_to(prefix)).replace(str(python_folder(prefix)), "PYTHON")
        for path in prefix.rglob("*")
        if path.is_file()
    }


def python_folder(prefix):
    return underlay.site_packages(prefix).relative_to(prefix)


def test_one_package_is_taken_without_binaries_or_neighbours(tmp_path):
    prefix = tmp_path / "prefix"
    with carrier(tmp_path / "carrier.whl", "Apache License 2.0") as wheel:
        underlay.extract_package(wheel, "launch", prefix)
    assert files_of(prefix) == {
        "PYTHON/launch/__init__.py",
        "PYTHON/launch/frontend/entity.py",
        "PYTHON/launch-3.4-py3.12.egg-info/PKG-INFO",
        "share/launch/package.xml",
        "share/ament_index/resource_index/packages/launch",
    }


@pytest.mark.parametrize("licence", ["Proprietary", "NVIDIA Isaac Sim Additional Software", ""])
def test_what_is_not_open_source_is_refused(tmp_path, licence):
    prefix = tmp_path / "prefix"
    with carrier(tmp_path / "carrier.whl", licence) as wheel:
        with pytest.raises(underlay.UnderlayError, match="launch of .* has the licence"):
            underlay.extract_package(wheel, "launch", prefix)
    assert not prefix.exists()


def test_folders_of_the_build_machine_are_replaced(tmp_path):
    file = tmp_path / "share/std_msgs/cmake/export.cmake"
    file.parent.mkdir(parents=True)
    bundled = tmp_path / "lib/libtinyxml2-1592532c.so.6.0.0"
    bundled.parent.mkdir()
    bundled.touch()
    file.write_text(
        'INCLUDE "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include"\n'
        'LINK "/usr/lib64/libtinyxml2.so"\n'
    )
    underlay.rewrite_cmake(tmp_path)
    text = file.read_text()
    assert "/opt/python" not in text
    assert str(underlay.site_packages(tmp_path) / "numpy/_core/include") in text
    assert f'LINK "{bundled}"' in text
