import sys
from pathlib import Path

# What several of these tests use lies beside them.
sys.path.insert(0, str(Path(__file__).parent))
