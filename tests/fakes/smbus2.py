"""An I2C bus with one INA219 at 0x40: 12.4 V, 0.25 A over 0.1 Ω."""


class SMBus:
    def __init__(self, bus):
        self.bus = bus

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def read_i2c_block_data(self, address, register, length):
        if address != 0x40:
            raise OSError(121, "Remote I/O error")
        return list({0x01: 2500, 0x02: 3100 << 3}[register].to_bytes(length, "big"))
