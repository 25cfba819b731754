/** OmniGen: one transformer that reads text and pictures in one sequence and makes a picture (Xiao et al., 2024). */
package org.deft4j.diffusion.omnigen;
