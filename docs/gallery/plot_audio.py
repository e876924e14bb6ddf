"""
Sound: an echo put in, and found again
======================================

One dimension: two seconds of sound are convolved with the response of a room, and the room's
strongest echo is found by correlating the result with the sound.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastconv

rate = 44100
rng = np.random.default_rng(5)

# %%
# The sound: eight tones that fade, 0.25 s apart, each with harmonics and a short noise as of a
# plucked string.

t = np.arange(2 * rate) / rate
sound = np.zeros_like(t)
for k, half_tones in enumerate((0, 4, 7, 12, 11, 7, 4, 0)):
    since = t - 0.25 * k
    pitch = 220 * 2 ** (half_tones / 12)
    tone = sum(np.sin(2 * np.pi * n * pitch * since) / n for n in range(1, 6))
    noise = rng.standard_normal(t.size)
    after = np.maximum(since, 0)
    sound += (since >= 0) * (np.exp(-12 * after) * tone + np.exp(-100 * after) * noise)

# %%
# The room: the sound itself, a wall 60 ms later, and noise that fades within 1.5 s.

delay = round(0.060 * rate)
fade = np.arange(round(1.5 * rate)) / rate
room = 0.01 * rng.standard_normal(fade.size) * np.exp(-4 * fade)
room[0] += 1
room[delay] += 0.6

heard = fastconv.convolve(sound, room)
print(f"{sound.size} samples by {room.size} taps -> {heard.size} samples")
print(fastconv.explain(sound, room, function="convolve"))

# %%
# The echo
# --------
#
# The autocorrelation of a tune has peaks at its own periods. So the sound is whitened first: from
# each sample, what the one before predicts is subtracted. That is a convolution with two taps.

whiten = np.array([1, -0.97])
reference = fastconv.convolve(sound, whiten)
received = fastconv.convolve(heard, whiten)
correlation = fastconv.correlate(received, reference)
lags = fastconv.correlation_lags(received.size, reference.size)

later = lags > 0.02 * rate
echo = int(lags[later][correlation[later].argmax()])
print(f"echo put in after {delay} samples, found after {echo}")

figure, (above, below) = plt.subplots(2, 1, figsize=(9, 4.6), layout="constrained")
above.plot(np.arange(heard.size) / rate, heard, linewidth=0.5, color="#d1490c", label="heard")
above.plot(t, sound, linewidth=0.5, color="#22262a", label="sound")
above.set(xlabel="seconds", ylabel="amplitude", xlim=(0, heard.size / rate))
above.legend(loc="upper right")
shown = (lags >= 0) & (lags <= 0.15 * rate)
below.plot(lags[shown] / rate * 1e3, correlation[shown] / correlation.max(), color="#22262a")
below.axvline(echo / rate * 1e3, color="#d1490c", linestyle="--")
below.set(xlabel="lag in milliseconds", ylabel="correlation", xlim=(0, 150))
plt.show()
