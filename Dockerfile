# The command aepsl with the locked versions, on the files of the current folder:
#   docker build --tag aepsl .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" aepsl run photographs.yaml
# With GPUs: --gpus all. With runtime.workers: --ipc host, for their shared memory.

# The large image has the C++ compiler that pydensecrf needs; the slim one does not.
FROM python:3.11 AS build
RUN python -m venv /opt/aepsl
ENV PATH=/opt/aepsl/bin:$PATH
WORKDIR /source
COPY requirements.lock requirements-crf.lock ./
RUN pip install --no-cache-dir -r requirements.lock -r requirements-crf.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
COPY --from=build /opt/aepsl /opt/aepsl
# With --user, a user without an account needs a name, for Snakemake, and a home, for downloaded weights.
RUN useradd --uid 1000 --create-home aepsl && chmod 1777 /home/aepsl
ENV PATH=/opt/aepsl/bin:$PATH HOME=/home/aepsl USER=aepsl
USER 1000
WORKDIR /data
ENTRYPOINT ["aepsl"]
