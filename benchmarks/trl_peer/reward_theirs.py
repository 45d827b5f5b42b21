"""TRL's RewardTrainer on the pairs of a cell, measured. Runs in its own environment and imports nothing of the product.

.peers/trl-reward/bin/python benchmarks/trl_peer/reward_theirs.py SETTINGS.json RESULT.json
"""

import json
import os
import sys
import tempfile
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}


def main(settings: dict, out: str) -> None:
    import torch
    from datasets import load_dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
    from trl import RewardConfig, RewardTrainer

    from trl_peer import resident

    if settings["bf16"]:  # on a GPU, at its best: cuDNN's attention plans anew for every shape that it meets
        torch.backends.cuda.enable_cudnn_sdp(False)
    tokenizer = AutoTokenizer.from_pretrained(settings["reward"])
    model = AutoModelForSequenceClassification.from_pretrained(
        settings["reward"], dtype=getattr(torch, settings["dtype"]), attn_implementation="sdpa"
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    times, losses, memory = [], [], []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_args: object, **_named: object) -> None:
            if not memory:
                memory.append(resident.settle())

        def on_step_end(self, *_args: object, **_named: object) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append((time.perf_counter(), time.process_time()))
            memory[1:] = [resident.peak()]

        def on_log(self, _args: object, _state: object, _control: object, logs: dict, **_named: object) -> None:
            losses.extend([float(logs["loss"])] if "loss" in logs else [])

    pairs = load_dataset("json", data_files={"train": settings["train"], "valid": settings["valid"]})
    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=settings["pairs_per_forward"],
            per_device_eval_batch_size=settings["pairs_per_forward"],
            gradient_accumulation_steps=settings["pairs_per_step"] // settings["pairs_per_forward"],
            learning_rate=settings["learning_rate"],
            lr_scheduler_type="constant",
            weight_decay=0.0,
            adam_beta1=settings["adam_beta1"],
            adam_beta2=settings["adam_beta2"],
            adam_epsilon=settings["adam_epsilon"],
            max_grad_norm=1.0,
            max_length=4096,
            bf16=settings["bf16"],
            gradient_checkpointing=False,
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
        )
        trainer = RewardTrainer(
            model=model,
            args=config,
            train_dataset=pairs["train"],
            eval_dataset=pairs["valid"],
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
        trainer.train()
        gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
        accuracy = trainer.evaluate()["eval_accuracy"] if settings["evaluate"] else None
    result = {"times": times, "losses": losses, "rss_before": memory[0], "rss_peak": memory[1], "gpu_peak": gpu}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result | {"accuracy": accuracy, "threads": torch.get_num_threads()}, file)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as given:
        main(json.load(given), sys.argv[2])
