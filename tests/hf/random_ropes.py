"""Rotary embeddings drawn by chance, with every scaling that transformers knows."""
import random


class Draw(random.Random):
    def yes(self, share=0.5):
        return self.random() < share

    def even(self, low, high):
        return 2 * self.randint(low // 2, high // 2)

    def divisor(self, n):
        return self.choice([d for d in range(1, n + 1) if n % d == 0])


def theta(draw):
    return draw.choice([10000.0, 500000.0, 1e6, 12345.5])


def default_rope(draw):
    return dict(rope_type='default', rope_theta=theta(draw))


def linear(draw):
    return dict(rope_type='linear', rope_theta=theta(draw), factor=draw.choice([1.5, 2.0, 8.0]))


def dynamic(draw):  # changes nothing up to max_position_embeddings
    return dict(rope_type='dynamic', rope_theta=theta(draw), factor=2.0)


def yarn(draw):
    rope = dict(rope_type='yarn', rope_theta=theta(draw), factor=draw.choice([2.0, 4.0, 10.0]),
                original_max_position_embeddings=draw.choice([16, 32, 64]))
    if draw.yes(0.3):
        rope['attention_factor'] = draw.choice([0.8, 1.0, 1.3])
    elif draw.yes(0.3):
        rope |= dict(mscale=draw.choice([0.707, 1.0]), mscale_all_dim=draw.choice([0.707, 1.0]))
    return rope


def llama3(draw):
    return dict(rope_type='llama3', rope_theta=theta(draw), factor=draw.choice([4.0, 8.0]), low_freq_factor=1.0,
                high_freq_factor=draw.choice([2.0, 4.0]), original_max_position_embeddings=draw.choice([16, 64]))


def rope(draw, *kinds):
    return dict(rope_parameters=draw.choice([default_rope, linear, dynamic, yarn, *kinds])(draw))


def longrope(draw, pairs):
    rope = dict(rope_type='longrope', rope_theta=theta(draw), short_factor=[1 + draw.random() for _ in range(pairs)],
                long_factor=[1 + 9 * draw.random() for _ in range(pairs)],
                original_max_position_embeddings=draw.choice([16, 512]))  # contexts are rounded up to 256
    return rope | (dict(attention_factor=1.25) if draw.yes(0.3) else {})
