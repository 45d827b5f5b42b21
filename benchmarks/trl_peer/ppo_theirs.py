"""TRL's PPOTrainer on a world, measured. Runs in its own environment and imports nothing of Podium's.

    .peers/trl-ppo/bin/python benchmarks/trl_peer/ppo_theirs.py SETTINGS.json RESULT.json

Where the time goes is measured around its own functions, which are not changed.
"""

import json
import os
import sys
import tempfile

import resident
from stopwatch import Stopwatch

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}


def main(settings: dict, out: str) -> None:
    import torch
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

    if settings["bf16"]:  # on a GPU, at its best: cuDNN's attention plans anew for every shape that it meets
        torch.backends.cuda.enable_cudnn_sdp(False)
    tokenizer = AutoTokenizer.from_pretrained(settings["policy"], padding_side="left")
    dtype = getattr(torch, settings["dtype"])
    policy, reference = (AutoModelForCausalLM.from_pretrained(settings["policy"], dtype=dtype) for _ in range(2))
    reward, value = (
        AutoModelForSequenceClassification.from_pretrained(settings["reward"], num_labels=1, dtype=dtype)
        for _ in range(2)
    )
    for model in (policy, reference, reward, value):
        model.config.pad_token_id = tokenizer.pad_token_id
    prompts = load_dataset("json", data_files=settings["prompts"])["train"]
    prompts = prompts.map(lambda row: {"input_ids": tokenizer(row["prompt"])["input_ids"]}, remove_columns=["prompt"])
    watch, held, rows = Stopwatch(), [0.0], []

    class Clock(TrainerCallback):
        def on_train_begin(self, *_args, **_named):
            held[0] = resident.settle()
            watch.start()

        def on_step_end(self, *_args, **_named):
            watch.stop()

        def on_log(self, _args, _state, _control, logs=None, **_named):
            if logs and "objective/kl" in logs:
                rows.append({"kl": float(logs["objective/kl"]), "reward": float(logs["objective/scores"])})

    get_reward = ppo_trainer.get_reward

    def scored(model, rows, pad, *args):
        if model is reward:
            watch.count(int((rows != pad).sum()))
        return get_reward(model, rows, pad, *args)

    ppo_trainer.batch_generation = watch.watch(ppo_trainer.batch_generation, "generate")
    ppo_trainer.get_reward = watch.watch(scored, "score")
    ppo_trainer.forward = watch.watch(ppo_trainer.forward, lambda: "learn" if torch.is_grad_enabled() else "score")
    with tempfile.TemporaryDirectory() as folder:
        config = PPOConfig(
            output_dir=folder,
            total_episodes=settings["updates"] * settings["batch_size"],
            per_device_train_batch_size=settings["batch_size"],
            gradient_accumulation_steps=1,
            num_mini_batches=settings["batch_size"] // settings["minibatch_size"],
            num_ppo_epochs=settings["inner_epochs"],
            local_rollout_forward_batch_size=settings["batch_size"],
            response_length=settings["max_new_tokens"],
            stop_token="eos",  # noqa: S106  # no secret
            temperature=1.0,
            missing_eos_penalty=1.0,
            kl_coef=settings["kl_coef"],
            vf_coef=settings["value_coef"],
            gamma=1.0,
            lam=0.95,
            whiten_rewards=False,
            learning_rate=settings["learning_rate"],
            lr_scheduler_type="constant",
            weight_decay=0.0,
            bf16=settings["bf16"],
            gradient_checkpointing=False,
            num_sample_generations=0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=settings["seed"],
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = PPOTrainer(
            args=config,
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=reward,
            value_model=value,
            train_dataset=prompts,
            callbacks=[Clock()],
        )
        trainer.accelerator.backward = watch.watch(trainer.accelerator.backward, "learn")
        trainer.optimizer.step = watch.watch(trainer.optimizer.step, "learn")
        trainer.train()
    peak = resident.peak()
    policy.save_pretrained(settings["save"])
    tokenizer.save_pretrained(settings["save"])
    result = watch.found() | {"rows": rows, "held": held[0], "peak": peak}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as given:
        main(json.load(given), sys.argv[2])
