"""
@article{hamitouche2022,
  title   = {DeepHEMNMA: ResNet-based hybrid analysis of continuous conformational heterogeneity in cryo-EM single
             particle images},
  author  = {Hamitouche, Ilyes and Jonic, Slavica},
  journal = {Frontiers in Molecular Biosciences},
  volume  = {9},
  pages   = {965645},
  year    = {2022},
  doi     = {10.3389/fmolb.2022.965645}
}

@article{jin2014,
  title   = {Iterative elastic 3D-to-2D alignment method using normal modes for studying structural dynamics of large
             macromolecular complexes},
  author  = {Jin, Qiyu and Sorzano, Carlos Oscar S. and de la Rosa-Trevin, Jose Miguel and Bilbao-Castro, Jose Roman
             and Nunez-Ramirez, Rafael and Llorca, Oscar and Tama, Florence and Jonic, Slavica},
  journal = {Structure},
  volume  = {22},
  number  = {3},
  pages   = {496--506},
  year    = {2014},
  doi     = {10.1016/j.str.2014.01.004}
}

@article{harastani2020,
  title   = {Hybrid Electron Microscopy Normal Mode Analysis with Scipion},
  author  = {Harastani, Mohamad and Sorzano, Carlos Oscar S. and Jonic, Slavica},
  journal = {Protein Science},
  volume  = {29},
  number  = {1},
  pages   = {223--236},
  year    = {2020},
  doi     = {10.1002/pro.3772}
}

@article{tama2000,
  title   = {Building-block approach for determining low-frequency normal modes of macromolecules},
  author  = {Tama, Florence and Gadea, Florent Xavier and Marques, Osni and Sanejouand, Yves-Henri},
  journal = {Proteins},
  volume  = {41},
  number  = {1},
  pages   = {1--7},
  year    = {2000}
}

@article{bakan2011,
  title   = {ProDy: Protein Dynamics Inferred from Theory and Experiments},
  author  = {Bakan, Ahmet and Meireles, Lidio M. and Bahar, Ivet},
  journal = {Bioinformatics},
  volume  = {27},
  number  = {11},
  pages   = {1575--1577},
  year    = {2011},
  doi     = {10.1093/bioinformatics/btr168}
}

@article{tama2001,
  title   = {Conformational change of proteins arising from normal mode calculations},
  author  = {Tama, Florence and Sanejouand, Yves-Henri},
  journal = {Protein Engineering},
  volume  = {14},
  number  = {1},
  pages   = {1--6},
  year    = {2001},
  doi     = {10.1093/protein/14.1.1}
}

@article{nogales2013,
  title   = {3DEM Loupe: analysis of macromolecular dynamics using structures from electron microscopy},
  author  = {Nogales-Cadenas, R. and Jonic, S. and Tama, F. and Arteni, A. A. and Tabas-Madrid, D. and
             Vázquez, M. and Pascual-Montano, A. and Sorzano, C. O. S.},
  journal = {Nucleic Acids Research},
  volume  = {41},
  pages   = {W363--W367},
  year    = {2013},
  doi     = {10.1093/nar/gkt385}
}

@article{jonic2016,
  title   = {Coarse-graining of volumes for modeling of structure and dynamics in electron microscopy: Algorithm to
             automatically control accuracy of approximation},
  author  = {Jonic, S. and Sorzano, C. O. S.},
  journal = {IEEE Journal of Selected Topics in Signal Processing},
  volume  = {10},
  number  = {1},
  pages   = {161--173},
  year    = {2016},
  doi     = {10.1109/JSTSP.2015.2489186}
}
"""
