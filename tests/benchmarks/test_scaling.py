"""What is concluded from peaks and times: lines whose numbers are known beforehand."""

import pytest
from scaling import fits, tables, write_scan


def rows(network_mb=400.0, base_mb=300.0, each=8.0):
    """Peaks that the network decides in small scans and the scan in large ones."""
    found = []
    for slices, pixels in ((1, 880), (12, 256), (24, 880), (48, 880), (96, 880)):
        voxels = slices * pixels**2
        peak = max(network_mb, base_mb + each * voxels / 1e6)
        wall = 1.0 + 0.06 * slices + 50e-9 * voxels
        found.append(
            {
                "slices": slices,
                "pixels": pixels,
                "voxels": voxels,
                "peak_mb": peak,
                "wall_s": wall,
                "cpu_s": 1.0,
            }
        )
    return found


def test_memory_of_large_scans_and_time_of_all_are_found_again():
    fit = fits(rows())
    assert fit["base_mb"] == pytest.approx(300)
    assert fit["bytes_per_voxel"] == pytest.approx(8)
    assert fit["largest_residual_mb"] == pytest.approx(0, abs=1e-6)
    assert fit["network_mb"] == 400
    largest = 96 * 880**2
    assert fit["most_bytes_per_voxel"] == pytest.approx((300 + 8e-6 * largest - 400) / largest * 1e6)
    assert (fit["start_s"], fit["slice_s"], fit["voxel_s"]) == pytest.approx((1.0, 0.06, 50e-9))


def test_memory_that_grows_faster_than_voxels_does_not_pass_for_a_line():
    bent = rows()
    for row in bent:
        row["peak_mb"] = row["voxels"] ** 2 / 1e12
    assert fits(bent)["largest_residual_mb"] > 300


def test_the_tables_hold_every_part():
    text = "\n".join(
        tables(
            {
                "slices": rows(),
                "pixels": rows(),
                "fit": fits(rows()),
                "batch": [{"batch": 2, "slice_s": 0.05, "peak_mb": 300.0}],
                "scans": [{"scans": 10, "wall_s": 20.0, "cpu_s": 30.0, "peak_mb": 500.0}],
            }
        )
    )
    assert "| 96 | 74.3 | 10.48 | 1.00 | 895 |" in text
    assert "300 MB + 8.0 bytes per voxel" in text
    assert "| 2 | 50.0 | 300 |" in text
    assert "| 10 | 20.0 | 2.00 | 3.00 | 500 |" in text


def test_a_scan_is_made_once(tmp_path):
    path = write_scan(tmp_path / "a/scan.nii.gz", 1, 128)
    made = path.stat().st_mtime_ns
    assert write_scan(path, 1, 128).stat().st_mtime_ns == made
