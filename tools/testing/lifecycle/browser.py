# SPDX-License-Identifier: GPL-2.0
"""A real browser, driven through its pipe: enough of the DevTools protocol for the tests beside this."""

import base64
import json
import os
import select
import subprocess
import tempfile
import time

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--hide-scrollbars', '--remote-debugging-pipe',
         # A page that asked for anything from a network would fail.
         '--host-resolver-rules=MAP * ~NOTFOUND']


class Browser:
    """One browser with one page."""

    def __init__(self, width=1400, height=1000, patience=60):
        self.patience, self.number, self.left, self.events = patience, 0, b'', []
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self.to = os.pipe()
        self.back, to_write = os.pipe()

        # The browser reads descriptor 3 and writes descriptor 4.
        def descriptors():
            os.dup2(to_read, 100)
            os.dup2(to_write, 101)
            os.dup2(100, 3)
            os.dup2(101, 4)

        self.process = subprocess.Popen(['chromium', *FLAGS, f'--window-size={width},{height}', f'--user-data-dir={self.home.name}', 'about:blank'],
                                        preexec_fn=descriptors, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        target = next(t for t in self.call('Target.getTargets')['targetInfos'] if t['type'] == 'page')
        self.session = None
        self.session = self.call('Target.attachToTarget', targetId=target['targetId'], flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.home.cleanup()

    session = None

    def call(self, method, **parameters):
        """One command, and its result."""
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': parameters}
        if self.session:
            message['sessionId'] = self.session
        data = json.dumps(message).encode() + b'\0'
        while data:
            data = data[os.write(self.to, data):]
        while True:
            answer = self._next()
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise RuntimeError(f'{method}: {answer["error"]["message"]}')
                return answer['result']
            self.events.append(answer)

    def _next(self):
        until = time.monotonic() + self.patience
        while b'\0' not in self.left:
            if not select.select([self.back], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError(f'the browser said nothing for {self.patience} s')
            data = os.read(self.back, 1 << 20)
            if not data:
                raise RuntimeError('the browser ended')
            self.left += data
        message, _, self.left = self.left.partition(b'\0')
        return json.loads(message)

    def open(self, path, fragment='', ready='document.documentElement?.dataset.ready'):
        """Opens a file as a reader would, from the file system, and waits until it says that it is ready."""
        self.call('Page.navigate', url='about:blank')
        self.events.clear()
        self.call('Page.navigate', url=f'file://{path}' + (f'#{fragment}' if fragment else ''))
        until = time.monotonic() + self.patience
        while not self.js(ready):
            if time.monotonic() > until:
                raise TimeoutError(f'{path} was not ready after {self.patience} s; {self.complaints()}')
            time.sleep(0.05)

    def js(self, expression):
        """The value of an expression in the page."""
        result = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in result:
            raise RuntimeError(f'{expression}: {result["exceptionDetails"].get("exception", {}).get("description")}')
        return result['result'].get('value')

    def complaints(self):
        """Errors that the page or the browser reported, and requests for anything but the file."""
        found = []
        for event in self.events:
            method, parameters = event.get('method'), event.get('params', {})
            if method == 'Runtime.exceptionThrown':
                found.append(parameters['exceptionDetails'].get('exception', {}).get('description', 'an exception'))
            elif method == 'Log.entryAdded' and parameters['entry']['level'] == 'error':
                found.append(parameters['entry']['text'])
            elif method == 'Network.requestWillBeSent' and not parameters['request']['url'].startswith(('file:', 'about:', 'data:')):
                found.append('asks for ' + parameters['request']['url'])
        return found

    def mouse(self, kind, x, y, **more):
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def click(self, x, y):
        self.mouse('mouseMoved', x, y)
        self.mouse('mousePressed', x, y, button='left', clickCount=1)
        self.mouse('mouseReleased', x, y, button='left', clickCount=1)

    def key(self, key):
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, text=key if len(key) == 1 and kind == 'keyDown' else '')

    def dark(self, on):
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': 'dark' if on else 'light'}])

    def screenshot(self, path, whole=False):
        data = self.call('Page.captureScreenshot', format='png', captureBeyondViewport=whole)['data']
        with open(path, 'wb') as file:
            file.write(base64.b64decode(data))
