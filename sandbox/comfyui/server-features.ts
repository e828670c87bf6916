// The feature flags a server announces over HTTP and WebSocket (ComfyUI protocol notes §1.11, §2.2).
import { PyFloat } from './python-number.ts';
import type { ServerSettings } from './server-context.ts';

/** The body of `/features` and of the `feature_flags` message. */
export function serverFeatures(settings: ServerSettings): Record<string, unknown> {
  const size = settings.maxUploadMegabytes * 1024 * 1024;
  const features: Record<string, unknown> = {
    supports_preview_metadata: true,
    max_upload_size: Number.isInteger(settings.maxUploadMegabytes) ? size : new PyFloat(size),
  };
  if (settings.profile === 'late-2026') {
    features['supports_model_type_tags'] = true;
    features['extension'] = { manager: { supports_v4: true } };
    features['node_replacements'] = true;
    features['assets'] = false;
  }
  return features;
}
