# The HTTP service, `fast3r serve`. For a machine without a graphics card:
#     docker build --tag fast3r .
#     docker run --publish 127.0.0.1:8000:8000 --volume fast3r:/var/lib/fast3r fast3r
# For CUDA:
#     docker build --tag fast3r:cuda \
#       --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 \
#       --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
#     docker run --gpus all ... fast3r:cuda
# Set FAST3R_API_KEY (`--env-file`) before other machines can reach it. See docs/serve.md.

ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS base
# Bases without Python, such as NVIDIA's, get that of their distribution.
RUN command -v python3 > /dev/null || ( \
      apt-get update \
      && apt-get install --yes --no-install-recommends python3 python3-venv \
      && rm -rf /var/lib/apt/lists/* )

FROM base AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/fast3r
# Alone and first: it is by far the largest, and changes least.
RUN /opt/fast3r/bin/pip install --index-url "${TORCH_INDEX}" "torch>=2.5"
COPY pyproject.toml README.md LICENSE /src/
COPY fast3r /src/fast3r
RUN /opt/fast3r/bin/pip install "/src[serve,media,export,viewer]"

FROM base
COPY --from=build /opt/fast3r /opt/fast3r
RUN useradd --system --uid 10001 --create-home fast3r \
    && install --directory --owner fast3r --mode 700 /var/lib/fast3r
USER 10001
# Weights that are not in the package are fetched from the hub, once.
ENV PATH=/opt/fast3r/bin:$PATH HF_HOME=/var/lib/fast3r/hub
WORKDIR /var/lib/fast3r
VOLUME /var/lib/fast3r
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["fast3r"]
CMD ["serve", "--host", "0.0.0.0", "--folder", "/var/lib/fast3r"]
