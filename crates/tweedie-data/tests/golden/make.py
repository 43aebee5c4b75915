"""The toy sets of smalldiffusion 0.5:  python make.py > toys.json"""
import json
import numpy as np
from smalldiffusion import Swissroll, TreeDataset

tree = TreeDataset(branching_factor=3, depth=2, num_samples_per_path=5)
print(json.dumps(dict(
    swissroll=Swissroll(np.pi / 2, 5 * np.pi, 20).vals.tolist(),
    tree=[p.tolist() for p, _ in tree.data], tree_labels=[label for _, label in tree.data])))
