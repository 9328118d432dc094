"""Run by the Python of nnU-Net's environment for `peers.py`: random weights, and the network's own time.

    python benchmarks/peers_nnunet.py weights PLANS DATASET_JSON CONFIGURATION MODEL_FOLDER
    python benchmarks/peers_nnunet.py network MODEL_FOLDER SCAN THREADS ANSWER

Nothing of cafrnet is imported. The second question goes through nnU-Net's own preprocessing and its own
sliding window, without mirroring, and adds up the seconds that its network takes.
"""

import json
import shutil
import sys
import time
from pathlib import Path

TRAINER = "nnUNetTrainer"


def weights(plans, dataset, configuration, folder):
    """Write a model folder as a training leaves it, the planned network as it is initialised (seed 0)."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.manual_seed(0)
    manager, about = PlansManager(plans), json.loads(Path(dataset).read_text(encoding="utf-8"))
    heads = manager.get_label_manager(about).num_segmentation_heads
    network = nnUNetTrainer.build_network_architecture(
        manager, manager.get_configuration(configuration), 1, heads, enable_deep_supervision=False
    )
    state = {
        "network_weights": network.state_dict(),
        "trainer_name": TRAINER,
        "init_args": {"configuration": configuration},
        "inference_allowed_mirroring_axes": (0, 1),  # what its training allows in 2D
    }
    fold = Path(folder) / "fold_0"
    fold.mkdir(parents=True, exist_ok=True)
    torch.save(state, fold / "checkpoint_final.pth")
    shutil.copyfile(plans, Path(folder) / "plans.json")
    shutil.copyfile(dataset, Path(folder) / "dataset.json")


def network(folder, scan, threads, answer):
    """Write what the steps of one scan take, s: preprocessing, sliding window, and the network in it."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(int(threads))
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(folder, (0,))
    configuration = predictor.configuration_manager
    began = time.perf_counter()
    prepare = configuration.preprocessor_class(verbose=False)
    data, *_ = prepare.run_case([scan], None, predictor.plans_manager, configuration, predictor.dataset_json)
    prepared = time.perf_counter()
    calls = []
    predictor.network.register_forward_pre_hook(lambda *_: calls.append(time.perf_counter()))
    predictor.network.register_forward_hook(lambda *_: calls.append(time.perf_counter()))
    slid = time.perf_counter()
    predictor.predict_logits_from_preprocessed_data(torch.as_tensor(data))
    ended = time.perf_counter()
    found = {
        "preprocess_s": prepared - began,
        "sliding_window_s": ended - slid,
        "network_s": sum(calls[1::2]) - sum(calls[::2]),
        "patches": len(calls) // 2,
        "patch": [int(n) for n in configuration.patch_size],
        "image": list(data.shape),
    }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def main():
    """Run the function that the first word names on the other words."""
    question, *words = sys.argv[1:]
    {"weights": weights, "network": network}[question](*words)


if __name__ == "__main__":
    main()
