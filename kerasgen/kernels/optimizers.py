"""Optimizers, as in keras/src/optimizers: `update` changes the weights in place, by their gradients.

Each keeps its state by the name of the weight. Settings may be changed between two steps.
"""

import numpy as np


class SGD:
    """w -= rate * g; with momentum, v = momentum * v - rate * g and w += v, or momentum * v - rate * g by Nesterov."""

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False):
        self.learning_rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov
        self.velocity = {}

    def update(self, weights, gradients):
        """One step."""
        for name, g in gradients.items():
            step = g * -self.learning_rate
            if self.momentum:
                v = self.velocity[name] = self.velocity.get(name, 0.0) * self.momentum + step
                step = v * self.momentum + step if self.nesterov else v
            weights[name] += step


class Adam:
    """m and v are moving means of g and g²; w -= rate * √(1 - β₂ᵗ) / (1 - β₁ᵗ) * m / (√v + ε) (Kingma and Ba 2015)."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon = learning_rate, beta_1, beta_2, epsilon
        self.iterations, self.m, self.v = 0, {}, {}

    def update(self, weights, gradients):
        """One step."""
        self.iterations += 1
        t = self.iterations
        rate = self.learning_rate * (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)
        for name, g in gradients.items():
            m = self.m.setdefault(name, np.zeros_like(g))
            v = self.v.setdefault(name, np.zeros_like(g))
            m += (g - m) * (1 - self.beta_1)
            v += (np.square(g) - v) * (1 - self.beta_2)
            weights[name] -= m * rate / (np.sqrt(v) + self.epsilon)


class RMSprop:
    """v is a moving mean of g²; w -= rate * g / √(v + ε), or by momentum the sum of these steps (Hinton 2012)."""

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7):
        self.learning_rate, self.rho, self.momentum, self.epsilon = learning_rate, rho, momentum, epsilon
        self.v, self.velocity = {}, {}

    def update(self, weights, gradients):
        """One step."""
        for name, g in gradients.items():
            v = self.v.setdefault(name, np.zeros_like(g))
            v *= self.rho
            v += np.square(g) * (1 - self.rho)
            step = g * self.learning_rate / np.sqrt(v + self.epsilon)
            if self.momentum:
                step = self.velocity[name] = self.velocity.get(name, 0.0) * self.momentum + step
            weights[name] -= step
