// Why a camera cannot be had, in words for the person before it.

const NOT_SECURE =
  "The browser lends camera and microphone only to pages of this machine itself (http://127.0.0.1) or over https.";

// What keeps a page from asking for a camera at all; `remedy` says what to do about a page that is not secure.
export function withoutCamera(remedy) {
  if (!window.isSecureContext) return `${NOT_SECURE} ${remedy}`;
  if (!navigator.mediaDevices?.getUserMedia) return "This browser lends no camera. Use a current Chrome, Edge, Firefox or Safari.";
  return "";
}

// Whether the microphone alone is refused, as far as the browser says.
async function onlyMicrophoneIsRefused() {
  const states = ["camera", "microphone"].map(async (name) => (await navigator.permissions.query({ name })).state);
  const [camera, microphone] = await Promise.all(states).catch(() => []);
  return microphone === "denied" && camera !== "denied";
}

export async function explainDevice(error, sound) {
  const wanted = sound ? "camera and microphone" : "camera";
  if (error.name === "NotAllowedError" && sound && (await onlyMicrophoneIsRefused()))
    return (
      "The browser does not let this page use the microphone. Allow it, with the sign at the left of the address, and" +
      " in the settings of the system; then try again. Or choose silent recordings in step 2."
    );
  if (error.name === "NotAllowedError" || error.name === "SecurityError")
    return (
      `The browser does not let this page use the ${wanted}. Allow it, with the sign at the left of the address, and in` +
      " the settings of the system; then try again."
    );
  if (error.name === "NotReadableError" || error.name === "AbortError")
    return `The ${wanted} cannot be started. Another program may be using it: close that one, then try again.`;
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") {
    const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    if (!devices.some((device) => device.kind === "videoinput"))
      return "No camera was found. Plug one in, then try again.";
    if (sound && !devices.some((device) => device.kind === "audioinput"))
      return "No microphone was found. Plug one in, then try again; or choose silent recordings in step 2.";
    return `The chosen ${wanted} is no longer there. Choose another, then try again.`;
  }
  return `The ${wanted} cannot be used (${error.name}: ${error.message}).`;
}
