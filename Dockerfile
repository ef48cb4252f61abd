# The course in JupyterLab:   docker build -t core-course . && docker run -p 8888:8888 core-course
# It prints the address to open, with its token. A GPU comes along with: docker run --gpus all ...
FROM debian:trixie-slim AS system
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates=20* git=1:2.* libgomp1=14.* make=4.* python3=3.13.* python3-venv=3.13.* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home --shell /bin/bash learner
ENV LANG=C.UTF-8 PYTHONUTF8=1
USER 1000

FROM system
WORKDIR /home/learner/kit
COPY --chown=1000:1000 . .
RUN make setup \
    && .venv/bin/python -m uv cache clean -q
EXPOSE 8888
CMD [".venv/bin/python", "-m", "jupyterlab", "--ServerApp.ip=0.0.0.0", "--no-browser", \
     "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb", "--LabApp.news_url=None"]
