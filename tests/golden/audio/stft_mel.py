# Makes stft_mel.json beside this file; run once, needs numpy and scipy.
import numpy as np, scipy, json
from scipy import signal
n_fft, win, hop, rate = 64, 40, 8, 8000
n = 101
i = np.arange(n)
x = 0.6*np.sin(0.21*i) + 0.3*np.cos(0.0071*i*i) + 0.05*(((i*37) % 19)/9.0-1)
x = x.astype(np.float32).astype(np.float64)
w = signal.get_window('hann', win, fftbins=True)
lp = (n_fft-win)//2
w = np.pad(w, (lp, n_fft-win-lp))
def stft(x):
    p = np.pad(x, n_fft//2, mode='reflect')
    return np.array([np.fft.rfft(w*p[f*hop:f*hop+n_fft]) for f in range(1+len(x)//hop)])
S = stft(x)
short = np.array([0.5,-0.25,0.125,1.0,-0.75])
T = stft(short)
# Slaney mel by definition: triangle by min(rising, falling), clipped at 0, times 2 / (upper - lower)
def h2m(f): return np.where(f<1000, f*3/200, 15+27*np.log(np.maximum(f,1)/1000)/np.log(6.4))
def m2h(m): return np.where(m<15, m*200/3, 1000*np.exp(np.log(6.4)/27*(m-15)))
def bank(rate,n_fft,n_mels,fmin,fmax):
    fr = np.fft.rfftfreq(n_fft,1/rate)
    e = m2h(np.linspace(h2m(np.float64(fmin)),h2m(np.float64(fmax)),n_mels+2))
    lo,c,hi = e[:-2,None],e[1:-1,None],e[2:,None]
    return np.maximum(0,np.minimum((fr-lo)/(c-lo),(hi-fr)/(hi-c)))*2/(hi-lo)
W = bank(8000,512,48,0,4000); W2 = bank(22050,256,12,300,8000)
def sparse(W): return W[W!=0].tolist(), (np.nonzero(W.ravel())[0]).tolist()
f = lambda a: [float(f'{v:.9g}') for v in np.ravel(a)]
v,ix = sparse(W); v2,ix2=sparse(W2)
W3=bank(8000,64,8,100,3800)
json.dump(dict(
  about=f"STFT, mel filters and log-mel by the definitions, made once with numpy {np.__version__} and scipy {scipy.__version__}: numpy.pad(mode='reflect'), scipy.signal.get_window('hann', fftbins=True) centred in n_fft, numpy.fft.rfft per frame; Slaney mel scale (3 mel per 200 Hz below 1 kHz, 27 mel per factor 6.4 above), triangles max(0, min(rising, falling)) * 2 / (upper - lower). See stft_mel.py beside this file.",
  n_fft=n_fft,window=win,hop=hop,clip=f(x),stft_re=f(S.real),stft_im=f(S.imag),
  short=f(short),short_re=f(T.real),short_im=f(T.imag),
  mel_8000_512_48_0_4000_index=ix,mel_8000_512_48_0_4000=f(v),
  mel_22050_256_12_300_8000_index=ix2,mel_22050_256_12_300_8000=f(v2),
  log_mel_power=f(np.log(np.maximum(np.abs(S)**2@W3.T,1e-5))), log_mel_magnitude=f(np.log(np.maximum(np.abs(S)@W3.T,1e-5))),
), open('stft_mel.json','w'), separators=(',',':'))
