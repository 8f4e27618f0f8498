// The options of whatever comes from a hub. A folder or a file of this machine needs none.

/** What `from_pretrained` may be told about a model that is on a hub. */
export interface HubOptions {
  /** A branch, a tag or a commit. @default "main" */
  revision?: string | undefined;
  /** One file of the repository, e.g. `model.Q8_0.gguf`, or the type of its GGUF, e.g. `Q8_0`. @default the one that is best */
  file?: string | undefined;
  /** An access token; `false` sends none. @default that of `HF_TOKEN`, or of `huggingface-cli login` */
  token?: string | boolean | undefined;
  /** Where downloads are kept. @default the Python client's own cache: `~/.cache/huggingface/hub`, or what `HF_HOME` and `HF_HUB_CACHE` say */
  cache_dir?: string | undefined;
  /** Uses what is in the cache, and asks no server. `HF_HUB_OFFLINE` does the same for all. @default false */
  local_files_only?: boolean | undefined;
  /** The hub's address. @default that of `HF_ENDPOINT`, or `https://huggingface.co` */
  endpoint?: string | undefined;
}

export const hubOptions = ["revision", "file", "token", "cache_dir", "local_files_only", "endpoint"] as const;
