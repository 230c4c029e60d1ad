//! Makes the `Py_3_x` and `Py_GIL_DISABLED` configuration flags of the target Python visible to the binding.
fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
