//! Devices that are not there, that fail, and that are wrong, without any device.
