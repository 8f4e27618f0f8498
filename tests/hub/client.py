# What Python's own client says and does, a line of JSON for each line of JSON that it is given: {"call": NAME, ...arguments}.
import json
import sys

from huggingface_hub import constants, get_token, hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache


def settings():
    return {"cache": constants.HF_HUB_CACHE, "endpoint": constants.ENDPOINT, "token": get_token()}


def scan(cache_dir):
    info = scan_cache_dir(cache_dir)
    repos = [
        {
            "id": repo.repo_id,
            "bytes": repo.size_on_disk,
            "revisions": {r.commit_hash: sorted(f.file_name for f in r.files) for r in repo.revisions},
            "refs": {name: r.commit_hash for name, r in repo.refs.items()},
        }
        for repo in info.repos
    ]
    return {"repos": sorted(repos, key=lambda repo: repo["id"]), "warnings": [str(w) for w in info.warnings]}


def known(repo_id, filename, cache_dir):
    found = try_to_load_from_cache(repo_id, filename, cache_dir=cache_dir)
    return found if found is None or isinstance(found, str) else "known to be absent"


calls = {"settings": settings, "scan": scan, "known": known, "snapshot": snapshot_download, "file": hf_hub_download}
for line in sys.stdin:
    arguments = json.loads(line)
    try:
        answer = {"value": calls[arguments.pop("call")](**arguments)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
