// Watches the files of a loaded model. A mapped file that is written to changes the weights, and one that is cut ends the
// process by a signal that no program can catch (SIGBUS) when a page past its new end is touched. Before a step, a look
// at the files' sizes and times of change turns most of that into an error; docs/security.md says what is left.
import { CheckpointError } from "../errors.ts";
import type { SourceFile } from "../platform/platform.ts";

/** Looks lie at least this far apart, in milliseconds: a look costs a tenth of one. */
const INTERVAL = 200;

export class FileWatch {
  private readonly files: readonly SourceFile[];
  private next = 0;
  private failure: CheckpointError | undefined;

  constructor(files: readonly SourceFile[]) {
    this.files = files;
  }

  /** After loading. @throws {@link CheckpointError} when a file is not the one whose header was read */
  async checkLoaded(): Promise<void> {
    for (const file of this.files) {
      const state = (await file.state?.()) ?? "same";
      if (state !== "same") throw new CheckpointError(`${file.path}: the file was ${state} while it was being loaded`);
    }
  }

  /** Whether the last look was a while ago. */
  get due(): boolean {
    return this.files.length > 0 && (this.failure !== undefined || performance.now() >= this.next);
  }

  /**
   * Before a step, where the files are mapped.
   * @throws {@link CheckpointError} from the first time on that a file is found changed
   */
  async check(): Promise<void> {
    if (this.failure) throw this.failure;
    this.next = performance.now() + INTERVAL;
    const states = await Promise.all(this.files.map((file) => file.state?.()));
    const at = states.indexOf("changed");
    if (at < 0) return;
    this.failure = new CheckpointError(
      `${this.files[at].path}: the file was changed while the model was using it: dispose of the model and load it again`,
    );
    throw this.failure;
  }
}
