# A hosted server over HTTP, with the index baked in. It starts only with the settings that say
# who may call it (HOSTING.md); the image decides none of them.

FROM python:3.11-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY idc_mcp idc_mcp
COPY skill skill
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="idc-mcp" \
      org.opencontainers.image.description="Model Context Protocol server for the NCI Imaging Data Commons" \
      org.opencontainers.image.licenses="MIT"
COPY --from=wheel /wheels /wheels
RUN python -m pip install --no-cache-dir "$(echo /wheels/idc_mcp-*.whl)[http]" && rm -r /wheels

ENV IDC_MCP_HOSTED=1 \
    IDC_MCP_CACHE_DIR=/var/cache/idc-mcp \
    IDC_MCP_STATE_DIR=/var/lib/idc-mcp

# A hosted server never fetches tables: name here those that it shall have, or give --all.
ARG TABLES=""
RUN if [ -n "$TABLES" ]; then idc-mcp fetch $TABLES; fi
# Root's, and read-only to the user that serves.
RUN idc-mcp build && chmod -R a=rX "$IDC_MCP_CACHE_DIR"

# Kept cohorts are the only files that the server writes, beside scratch in /tmp.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin idc \
    && install --directory --owner idc --mode 0700 "$IDC_MCP_STATE_DIR"
VOLUME /var/lib/idc-mcp
USER 10001

EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["idc-mcp"]
CMD ["serve", "--http", "--host", "0.0.0.0", "--port", "8000"]
